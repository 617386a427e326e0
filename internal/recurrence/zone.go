package recurrence

import (
	"errors"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // for machines that have none
)

// maxZone is the longest name of a zone, in bytes.
const maxZone = 64

var errZone = errors.New("is not the name of a time zone as IANA spells it, such as Europe/Paris")

// Zone finds a time zone by its IANA name. What names the zone of the machine, or a file
// that is beside the zones, is refused.
func Zone(name string) (*time.Location, error) {
	first, _, _ := strings.Cut(name, "/")
	if name == "" || len(name) > maxZone || strings.ContainsFunc(name, notOfZones) ||
		slices.Contains([]string{"Local", "localtime", "posixrules", "posix", "right"}, first) {
		return nil, errZone
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, errZone
	}
	return zone, nil
}

func notOfZones(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("/_+-", r)
}
