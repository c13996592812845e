-- KEYS: session, generation. ARGV[3]: the nonce that the caller holds, or empty.
local held = ARGV[3]
if held ~= '' then
  local head = head_of(KEYS[1])
  if is_whole(head) and nonce(head) == held then
    if is_live(head, generation(KEYS[2])) then
      return unwritten(told('s', head))
    end
    return unwritten('g')
  end
end
local value = redis.call('GET', KEYS[1])
if not value then
  return unwritten('g')
end
if not is_whole(value) then
  return unwritten('x')
end
if not is_live(value, generation(KEYS[2])) then
  return unwritten('g')
end
return unwritten(told('v', value))
