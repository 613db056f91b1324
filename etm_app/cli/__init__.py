"""The command line: LightningCLI and what stands around it; nothing is imported here, for some of it must not wait."""
