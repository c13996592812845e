-- KEYS: session, generation, and the owner's list if the session is listed by this script. ARGV: 3 value, 4 expiry, 5
-- the generation of the session that is renewed, or empty; with a list, 6 absolute limit. `create_first.lua` comes before.
if is_written then
  list(KEYS[3], KEYS[1], ARGV[6])
  return 'd' .. string.sub(ARGV[3], 19, 26)
end
local head = head_of(KEYS[1])
local current = generation(KEYS[2])
if head ~= '' then
  if not is_whole(head) then
    return unwritten('x')
  end
  if nonce(head) == nonce(ARGV[3]) then
    -- Rewrites the same byte, so that a reply of 'd' always comes with a change; see `Link::mark_of_own`.
    redis.call('SETRANGE', KEYS[1], 0, string.sub(head, 1, 1))
    return 'd' .. string.sub(head, 19, 26)
  end
  if is_live(head, current) then
    return unwritten('e')
  end
end
if ARGV[5] ~= '' then
  local from = tonumber(ARGV[5])
  -- Everything was cleared since the old session was stored: it is gone, or about to be.
  if from < current then
    return unwritten('o' .. digits(current))
  end
  current = from
end
local value, stamp = ARGV[3], packed(current)
-- Usually, the value already contains the right generation.
if string.sub(value, 19, 26) ~= stamp then
  value = string.sub(value, 1, 18) .. stamp .. string.sub(value, 27)
end
redis.call('SET', KEYS[1], value, 'PXAT', ARGV[4])
if KEYS[3] then
  list(KEYS[3], KEYS[1], ARGV[6])
end
return 'd' .. stamp
