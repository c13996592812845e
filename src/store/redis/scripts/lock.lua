-- KEYS: session, generation. ARGV: 3 holder, 4 until, 5 the session's new nonce unless the holder already has the lease.
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
if number(head, 83) > now then
  if string.sub(head, 67, 82) ~= ARGV[3] then
    return unwritten('h')
  end
  redis.call('SETRANGE', KEYS[1], 82, packed(tonumber(ARGV[4])))
else
  redis.call('SETRANGE', KEYS[1], 2, ARGV[5] .. string.sub(head, 19, 66) .. ARGV[3] .. packed(tonumber(ARGV[4])))
end
return told('v', redis.call('GET', KEYS[1]))
