-- KEYS: generations. Returns the newest of them.
local newest = 0
for _, key in ipairs(KEYS) do
  newest = math.max(newest, generation(key))
end
return unwritten(digits(newest))
