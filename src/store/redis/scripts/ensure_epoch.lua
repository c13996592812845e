-- KEYS: epoch, generation. ARGV: 3 the epoch to store if there is none, 4 its expiry.
local current = generation(KEYS[2])
local epoch = epoch_of(KEYS[1], current)
if epoch == '' then
  epoch = ARGV[3]
elseif number(redis.call('GETRANGE', KEYS[1], 17, 24), 1) >= tonumber(ARGV[4]) then
  return unwritten('d' .. epoch)
end
redis.call('SET', KEYS[1], '\1' .. epoch .. packed(current) .. packed(tonumber(ARGV[4])), 'PXAT', ARGV[4])
return 'd' .. epoch
