-- KEYS: session, generation. ARGV: 3 holder.
local head = head_of(KEYS[1])
if not is_whole(head) then
  if head == '' then
    return unwritten('g')
  end
  return unwritten('x')
end
if not is_live(head, generation(KEYS[2])) or string.sub(head, 67, 82) ~= ARGV[3] or number(head, 83) <= now then
  return unwritten('g')
end
redis.call('SETRANGE', KEYS[1], 66, nobody .. packed(0))
return 'd'
