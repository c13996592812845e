-- KEYS: sessions of one slot, or of a single server. ARGV[3]: 'names' to report which are live, 'sweeps' to also remove
-- the others. Returns a letter for each key: (l)ive session, (r)emoved session, (o)ther.
local told = {}
local generations = {}
for i, key in ipairs(KEYS) do
  local partition = string.sub(key, 1, -37)
  local current = generations[partition]
  if not current then
    current = generation(partition .. 'generation')
    generations[partition] = current
  end
  local head = redis.pcall('GETRANGE', key, 0, 89)
  local letter = 'o'
  if type(head) == 'string' and is_whole(head) then
    local is_session = string.byte(head, 2) == 1
    if is_live(head, current) then
      if is_session then
        letter = 'l'
      end
    elseif ARGV[3] == 'sweeps' then
      redis.call('UNLINK', key)
      if is_session then
        letter = 'r'
      end
    end
  end
  told[i] = letter
end
return unwritten(table.concat(told))
