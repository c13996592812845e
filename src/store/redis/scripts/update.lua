-- KEYS and ARGV as for create, with the expected nonce as ARGV[7]. The lease stays as it is.
local head = head_of(KEYS[1])
if head == '' then
  return unwritten('g')
end
if not is_whole(head) then
  return unwritten('x')
end
if not is_live(head, generation(KEYS[2])) then
  return unwritten('g')
end
local stored = nonce(head)
if stored ~= ARGV[7] then
  if stored == nonce(ARGV[3]) then
    -- Written again, the same: the write before was not answered, and replicas that confirm this one have that one too.
    redis.call('SETRANGE', KEYS[1], 0, string.sub(head, 1, 1))
    return 'd' .. string.sub(head, 19, 26)
  end
  return unwritten(told('c', redis.call('GET', KEYS[1])))
end
local stamp = string.sub(head, 19, 26)
local back = string.sub(ARGV[4], 1, 40) .. string.sub(head, 67, 90)
redis.call('SET', KEYS[1], ARGV[3] .. stamp .. back .. ARGV[5], 'PXAT', ARGV[6])
-- A tombstone is no session of anybody's.
if string.byte(ARGV[3], 2) == 0 or string.sub(ARGV[4], 25, 40) ~= string.sub(head, 51, 66) then
  unlist(head, KEYS[1])
end
if KEYS[3] then
  list(KEYS[3], ARGV[8], ARGV[9])
end
return 'd' .. stamp
