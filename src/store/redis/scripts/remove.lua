-- KEYS: session, generation. Also removes a value that can't be read.
local head = redis.pcall('GETRANGE', KEYS[1], 0, 89)
local was_there = true
if type(head) == 'string' then
  if head == '' then
    return unwritten('g')
  end
  if is_whole(head) then
    was_there = is_live(head, generation(KEYS[2]))
    unlist(head, KEYS[1])
  end
end
redis.call('UNLINK', KEYS[1])
if was_there then
  return 'd'
end
return 'g'
