-- KEYS: session, generation, the owner's list if the session goes on it here.
-- ARGV: 3 format to nonce, 4 used at to the end of the head, 5 record, 6 expiry, 7 the generation of the session that is
-- renewed, or empty, 8 id, 9 limit.
local head = head_of(KEYS[1])
local current = generation(KEYS[2])
if head ~= '' then
  if not is_whole(head) then
    return unwritten('x')
  end
  if nonce(head) == nonce(ARGV[3]) then
    return unwritten('d' .. string.sub(head, 19, 26))
  end
  if is_live(head, current) then
    return unwritten('e')
  end
end
if ARGV[7] ~= '' then
  local from = tonumber(ARGV[7])
  -- Cleared since the old session was stored: it is gone, or about to be.
  if from < current then
    return unwritten('o' .. digits(current))
  end
  current = from
end
local stamp = packed(current)
redis.call('SET', KEYS[1], ARGV[3] .. stamp .. ARGV[4] .. ARGV[5], 'PXAT', ARGV[6])
if KEYS[3] then
  list(KEYS[3], ARGV[8], ARGV[9])
end
return 'd' .. stamp
