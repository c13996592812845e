-- KEYS: generations. ARGV[3]: the generation to raise them to. Newer ones stay as they are.
for _, key in ipairs(KEYS) do
  if generation(key) < tonumber(ARGV[3]) then
    redis.call('SET', key, ARGV[3])
  end
end
return unwritten('d')
