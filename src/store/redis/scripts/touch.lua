-- KEYS: session, generation. ARGV: 3 used at, 4 expires at. Neither is ever moved to an earlier time.
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
local used, expires = number(head, 27), number(head, 35)
local new_used = math.max(used, tonumber(ARGV[3]))
local new_expires = math.max(expires, math.min(tonumber(ARGV[4]), number(head, 43)))
if new_used == used and new_expires == expires then
  return unwritten('d')
end
redis.call('SETRANGE', KEYS[1], 26, packed(new_used) .. packed(new_expires))
if new_expires ~= expires then
  redis.call('PEXPIREAT', KEYS[1], digits(new_expires))
end
return 'd'
