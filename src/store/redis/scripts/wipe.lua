-- KEYS: sessions and epochs of one slot, or of a single server. ARGV: 3 the generation that a clear has raised all
-- partitions to, 4 the one before it. Removes what is older, and returns how many live sessions that were.
local before, cleared = tonumber(ARGV[4]), tonumber(ARGV[3])
local count = 0
for _, key in ipairs(KEYS) do
  if string.sub(key, -6) == ':epoch' then
    local epoch = redis.pcall('GET', key)
    if type(epoch) == 'string' and (#epoch ~= 25 or number(epoch, 10) < cleared) then
      redis.call('UNLINK', key)
    end
  else
    local head = redis.pcall('GETRANGE', key, 0, 89)
    if type(head) ~= 'string' or not is_whole(head) then
      redis.call('UNLINK', key)
    elseif number(head, 19) < cleared then
      if string.byte(head, 2) == 1 and number(head, 35) > now and number(head, 19) >= before then
        count = count + 1
      end
      unlist(head, key)
      redis.call('UNLINK', key)
    end
  end
end
return unwritten(digits(count))
