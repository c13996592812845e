-- KEYS: session, generation. ARGV: 3 the expected nonce, 4 the expected last use, or empty for any.
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
if nonce(head) ~= ARGV[3] or (ARGV[4] ~= '' and number(head, 27) ~= tonumber(ARGV[4])) then
  return unwritten(told('c', redis.call('GET', KEYS[1])))
end
unlist(head, KEYS[1])
redis.call('UNLINK', KEYS[1])
return 'd'
