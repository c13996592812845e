-- KEYS: generations. ARGV[3]: what each becomes, unless it is newer.
for _, key in ipairs(KEYS) do
  if generation(key) < tonumber(ARGV[3]) then
    redis.call('SET', key, ARGV[3])
  end
end
return unwritten('d')
