package wheel

// What the tests look at from outside.
var (
	ParseClaim  = parseClaim
	ParseLead   = parseLead
	ParseWake   = parseWake
	ParseAgenda = parseAgenda
)

// Page is the most tasks that one script call takes.
const Page = page
