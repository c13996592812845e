-- Handles the usual create: the id is free, nothing is renewed, and the value has the partition's generation. It runs
-- before the functions of `head.lua` are created, to save the time that this takes.
local is_written = false
if ARGV[5] == '' and redis.call('GETRANGE', KEYS[1], '0', '89') == '' then
  local current = redis.call('GET', KEYS[2])
  if (not current and '\0\0\0\0\0\0\0\0' or struct.pack('>I8', tonumber(current) or 0)) == string.sub(ARGV[3], 19, 26) then
    redis.call('SET', KEYS[1], ARGV[3], 'PXAT', ARGV[4])
    if not KEYS[3] then
      return 'd' .. string.sub(ARGV[3], 19, 26)
    end
    is_written = true
  end
end

