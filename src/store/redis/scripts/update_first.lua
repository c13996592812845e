-- Handles the usual update: the stored session is live, has the expected nonce, the same owner and no lease, and isn't
-- replaced by a tombstone. It runs before the functions of `head.lua` are created, since that takes longer than the
-- update itself.
local is_written = false
do
  local head = redis.call('GETRANGE', KEYS[1], '0', '89')
  if string.sub(head, 3, 18) == ARGV[5] and #head == 90 and string.byte(head, 1) == 1
      and string.byte(ARGV[3], 2) == 1 and string.sub(head, 51, 66) == string.sub(ARGV[3], 51, 66)
      and string.sub(head, 67, 90) == '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0' then
    local stamp, _, expires = struct.unpack('>I8I8I8', head, 19)
    local current = redis.call('GET', KEYS[2])
    if expires > tonumber(ARGV[1]) and (not current or stamp >= (tonumber(current) or 0)) then
      redis.call('SET', KEYS[1], ARGV[3], 'PXAT', ARGV[4])
      if not KEYS[3] or redis.pcall('ZADD', KEYS[3], 'CH', ARGV[6], string.sub(KEYS[1], -36)) == 0 then
        return 'd' .. string.sub(head, 19, 26)
      end
      is_written = true
    end
  end
end

