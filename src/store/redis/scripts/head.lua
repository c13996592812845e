local function placeholder() end
