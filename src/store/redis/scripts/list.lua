-- KEYS: an owner's list. ARGV: 3 id, 4 absolute limit. For a list on another server than the session.
list(KEYS[1], ARGV[3], ARGV[4])
return unwritten('d')
