-- KEYS and ARGV as for create, but ARGV[5] is the expected nonce. The value contains the generation of the expected
-- state. The lease is kept. `update_first.lua` comes before.
if is_written then
  trim(KEYS[3], ARGV[6])
  return 'd' .. string.sub(ARGV[3], 19, 26)
end
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
if stored ~= ARGV[5] then
  if stored == nonce(ARGV[3]) then
    -- Rewrites the same byte. The first write was not answered; replicas that confirm this write have that one, too. And a
    -- reply of 'd' always comes with a change; see `Link::mark_of_own`.
    redis.call('SETRANGE', KEYS[1], 0, string.sub(head, 1, 1))
    return 'd' .. string.sub(head, 19, 26)
  end
  return unwritten(told('c', redis.call('GET', KEYS[1])))
end
redis.call('SET', KEYS[1], ARGV[3], 'PXAT', ARGV[4])
local lease = string.sub(head, 67, 90)
if lease ~= '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0' then
  redis.call('SETRANGE', KEYS[1], 66, lease)
end
-- A tombstone belongs to no owner.
if string.byte(ARGV[3], 2) == 0 or string.sub(ARGV[3], 51, 66) ~= string.sub(head, 51, 66) then
  unlist(head, KEYS[1])
end
if KEYS[3] then
  list(KEYS[3], KEYS[1], ARGV[6])
end
return 'd' .. string.sub(head, 19, 26)
