-- KEYS: epoch, generation. ARGV: 3 the new epoch, 4 its expiry.
local current = generation(KEYS[2])
-- Without an epoch, all of the owner's sessions are already revoked.
if epoch_of(KEYS[1], current) == '' then
  return unwritten('g')
end
local till = math.max(number(redis.call('GETRANGE', KEYS[1], 17, 24), 1), tonumber(ARGV[4]))
redis.call('SET', KEYS[1], '\1' .. ARGV[3] .. packed(current) .. packed(till), 'PXAT', digits(till))
return 'd' .. ARGV[3]
