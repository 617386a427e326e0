# Draws what soak.sh wrote, a panel for each thing that could grow: awk -f soak.awk FILE > FILE.svg
function panel(title, unit, columns, names, divisor,    i, k, max, n, column, name, y, points, step) {
	n = split(columns, column, ","); split(names, name, ",")
	max = 0
	for (k = 1; k <= n; k++) for (i = 1; i <= rows; i++) if (value[i, column[k]] / divisor > max) max = value[i, column[k]] / divisor
	if (max == 0) max = 1
	printf "<g transform=\"translate(%d,%d)\">\n", (panels % 2) * 420 + 50, int(panels / 2) * 170 + 30
	printf "<text x=\"0\" y=\"-8\" class=\"title\">%s</text>\n", title
	printf "<path class=\"frame\" d=\"M0 0V120H350\"/><text x=\"-4\" y=\"6\" class=\"scale\">%.4g</text><text x=\"-4\" y=\"120\" class=\"scale\">0</text>\n", max
	printf "<text x=\"350\" y=\"133\" class=\"scale\">%d min</text>\n", value[rows, 1] / 60
	for (k = 1; k <= n; k++) {
		points = ""
		for (i = 1; i <= rows; i++) points = points sprintf("%.1f,%.1f ", 350 * value[i, 1] / value[rows, 1], 120 - 120 * value[i, column[k]] / divisor / max)
		printf "<polyline class=\"line c%d\" points=\"%s\"/>\n", k, points
		if (n > 1) printf "<text x=\"%d\" y=\"133\" class=\"name c%d\">%s</text>\n", (k - 1) * 65, k, name[k]
	}
	printf "</g>\n"
	panels++
}
{ rows++; for (i = 1; i <= NF; i++) value[rows, i] = $i }
END {
	print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 860 700\" font-family=\"sans-serif\" font-size=\"11\">"
	print "<style>svg{background:#fff}.title{font-weight:bold;fill:#222}.scale{fill:#666;text-anchor:end}.frame{fill:none;stroke:#999}.line{fill:none;stroke-width:1.2}"
	print ".line.c1{stroke:#0b6bcb}.line.c2{stroke:#c2410c}.line.c3{stroke:#15803d}.line.c4{stroke:#7e22ce}.name.c1{fill:#0b6bcb}.name.c2{fill:#c2410c}.name.c3{fill:#15803d}.name.c4{fill:#7e22ce}</style>"
	panel("Open tasks: size of the table and its indexes, MB", "MB", "2", "", 1048576)
	panel("History: size of all partitions, MB", "MB", "3", "", 1048576)
	panel("Dead rows of the open tasks, thousands", "", "4", "", 1000)
	panel("Partitions, and connections to Postgres", "", "5,10", "partitions,connections", 1)
	panel("Resident memory, MB (backends: their own part)", "MB", "6,7,8,9", "API,worker,backends,Redis", 1024)
	panel("Lateness of 15 s, ms", "ms", "11,12", "p50,p99", 1)
	panel("Tasks that ended in 15 s", "", "13", "", 1)
	print "</svg>"
}
