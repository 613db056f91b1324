"""Pre-trained vectors of words: files of many formats, and skip-gram on texts of one's own."""
