package bugs

// inner are bugs of the inner ring, of the loops, and of what goes outside.
func inner() []Bug {
	return []Bug{
		{
			Name:   "release forgets to put back",
			Change: change("internal/worker/claim.go", "		dropped = withoutDelayed(ids, waiting)\n", "		dropped, back = ids, nil\n"),
			Ahead:  true, Load: Load{Stay: 30},
		},
		{
			Name:   "cascade reports too much as indexed",
			Change: change("internal/maintenance/lead.go", "		indexedUntil := until\n", "		indexedUntil := until.Add(time.Minute)\n"),
			Load:   Load{Stay: 50, Linger: 8},
		},
		{
			Name:   "create without margin",
			Change: change("internal/scheduler/create.go", "c.Delay <= s.horizon+Margin", "c.Delay <= s.horizon"),
			Hurt:   slowCommits, Load: Load{Edge: true, Quiet: true},
		},
		{
			Name: "repair does not look at what is overdue",
			Change: change("internal/maintenance/lead.go", "	if err := m.repairOverdue(ctx, now); err != nil {",
				"	if err := m.repairOverdue(ctx, now.AddDate(-1, 0, 0)); err != nil {"),
			Hurt: killAPIsBeforeIndex, Load: Load{Soon: 3, Quiet: true},
		},
		{
			Name: "webhook repeats what was not answered",
			Change: change("internal/tasktype/webhook.go", "			response, err := web.RoundTrip(request)\n",
				"			response, err := web.RoundTrip(request)\n\t\t\tif err != nil {\n\t\t\t\tresponse, err = web.RoundTrip(newRequest(ctx, t, c.method, c.url, c.body))\n\t\t\t}\n"),
			Hurt: rudeWitness,
		},
		{
			Name:   "claim without the move",
			Change: change("lua/claim.lua", "redis.call('ZADD', claimed, unpack(entries))\n", ""),
			Hurt:   killWorkers,
			Harmless: "what nobody holds is overdue a second later, and the repair indexes it again; " +
				"the move to claimed saves that second",
		},
		{
			Name:   "claim leaves the tasks due",
			Change: change("lua/claim.lua", "redis.call('ZREMRANGEBYRANK', due, 0, n - 1)\n", ""),
		},
	}
}
