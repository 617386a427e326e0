package httpapi

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/timewheel/timewheel/internal/access"
)

// maxKeyBody is the largest body of POST /key, in bytes.
const maxKeyBody = 64 << 10

// keyShown is a key as answers show it.
type keyShown struct {
	Key        string   `json:"key,omitempty" doc:"the key itself, in the answer to POST /key alone: nobody can show it again" example:"tw_k3v9qy5b2m7d4hzt6wcn2xg5jfr7slu3aopik4e6vd2ybq5hm3za"`
	ID         string   `json:"id" format:"uuid" doc:"names the key"`
	Name       string   `json:"name" doc:"what it was called" example:"ci"`
	Hint       string   `json:"hint" doc:"how its text begins" example:"tw_k3v9q"`
	Scopes     []string `json:"scopes" nullable:"false" enum:"read,create,change,lease,admin" doc:"what it permits"`
	Types      []string `json:"types" nullable:"false" doc:"it reaches the types whose names begin so; all of them, if there are none" example:"[\"billing.\"]"`
	MadeBy     *string  `json:"made_by" format:"uuid" doc:"the key that made it, or null"`
	CreatedAt  string   `json:"created_at" format:"date-time" doc:"when it was made"`
	ExpiresAt  *string  `json:"expires_at" format:"date-time" doc:"it is good until then, or for ever"`
	RevokedAt  *string  `json:"revoked_at" format:"date-time" doc:"it is not good since then"`
	LastUsedAt *string  `json:"last_used_at" format:"date-time" doc:"when it was used, to a minute"`
}

// keyList is the answer to GET /key.
type keyList struct {
	Keys []keyShown `json:"keys" nullable:"false" doc:"newest first"`
}

// revokedKey is the answer to DELETE /key/<id>.
type revokedKey struct {
	ID string `json:"id" format:"uuid" doc:"the key that no node accepts any more"`
}

func showKey(k *access.Key) keyShown {
	shown := keyShown{
		ID: k.ID.String(), Name: k.Name, Hint: k.Hint, Scopes: k.Scopes.Names(), Types: append([]string{}, k.Types...),
		CreatedAt: formatTime(k.CreatedAt), ExpiresAt: timeOrNil(k.ExpiresAt), RevokedAt: timeOrNil(k.RevokedAt),
		LastUsedAt: timeOrNil(k.LastUsedAt),
	}
	if k.MadeBy != uuid.Nil {
		maker := k.MadeBy.String()
		shown.MadeBy = &maker
	}
	return shown
}

// createKey answers POST /key with this body. A key that is bound to types makes no key that
// permits more.
func (a *api) createKey(c *gin.Context, body []byte) error {
	maker, err := a.keyOf(c)
	if err != nil {
		return err
	}
	wanted, f, err := decodeKey(body)
	if err != nil {
		return err
	}
	if !maker.Covers(&access.Key{Scopes: wanted.Scopes, Types: wanted.Types}) {
		return errBeyond
	}
	if err := f.err(); err != nil {
		return err
	}
	made, text, err := a.keys.CreateKey(c.Request.Context(), wanted, maker)
	if err != nil {
		return err
	}
	c.Set(objectKey, made.ID.String())
	c.Header("Location", "/key/"+made.ID.String())
	c.Header("Cache-Control", "no-store")
	shown := showKey(made)
	shown.Key = text
	return reply(c, http.StatusCreated, shown)
}

// decodeKey reads the body of POST /key, and what is wrong with it. The error is that of a body
// which is not JSON.
func decodeKey(body []byte) (wanted access.NewKey, f faults, err error) {
	err = readBody(body, func(member []byte, raw jsontext.Value) {
		switch string(member) {
		case "name":
			if raw.Kind() == '"' {
				wanted.Name = string(unquote(raw))
			}
		case "scopes":
			wanted.Scopes = 0
			for i, name := range readTexts(raw, "scopes", &f) {
				scope, known := access.ParseScope(name)
				if !known {
					f.add("scopes["+strconv.Itoa(i)+"]", "is not a scope: read, create, change, lease or admin")
				}
				wanted.Scopes |= scope
			}
		case "types":
			wanted.Types = readTexts(raw, "types", &f)
		case "expires_in":
			if raw.Kind() == 'n' {
				return
			}
			var fault error
			if wanted.ExpiresIn, fault = access.ParseExpiry(textOf(raw)); fault != nil {
				f.add("expires_in", fault.Error())
			}
		default:
			f.add(shorten(string(member)), "is not known")
		}
	})
	for _, fault := range wanted.Faults() {
		f.add(fault.Member, fault.Message)
	}
	return wanted, f, err
}

func readTexts(raw jsontext.Value, field string, f *faults) (texts []string) {
	if raw.Kind() == 'n' {
		return nil
	}
	if raw.Kind() != '[' {
		f.add(field, "must be an array of strings")
		return nil
	}
	readElements(raw, func(d *jsontext.Decoder) bool {
		value, err := d.ReadValue()
		if err != nil || value.Kind() != '"' {
			f.add(field+"["+strconv.Itoa(len(texts))+"]", "must be a string")
			texts = append(texts, "")
			return err == nil
		}
		texts = append(texts, string(unquote(value)))
		return true
	})
	return texts
}

// listKeys answers GET /key. A key that is bound to types sees those that it could have made.
func (a *api) listKeys(c *gin.Context) error {
	caller, err := a.keyOf(c)
	if err != nil {
		return err
	}
	all, err := a.keys.ListKeys(c.Request.Context())
	if err != nil {
		return err
	}
	body := keyList{Keys: []keyShown{}}
	for i := range all {
		if caller.Covers(&all[i]) {
			body.Keys = append(body.Keys, showKey(&all[i]))
		}
	}
	return reply(c, http.StatusOK, body)
}

// revokeKey answers DELETE /key/<id>.
func (a *api) revokeKey(c *gin.Context) error {
	caller, err := a.keyOf(c)
	if err != nil {
		return err
	}
	id, err := parseID(c.Param("id"))
	if err != nil {
		return err
	}
	key, err := a.keys.GetKey(c.Request.Context(), id)
	if err != nil {
		return noSuchKey(err)
	}
	if !caller.Covers(key) { // what a key permits never changes
		return errNoSuchKey
	}
	if err := a.keys.RevokeKey(c.Request.Context(), id); err != nil {
		return noSuchKey(err)
	}
	return reply(c, http.StatusOK, revokedKey{id.String()})
}

// noSuchKey is for a key that is asked for, and not for the one that asks.
func noSuchKey(err error) error {
	if errors.Is(err, access.ErrNoSuchKey) {
		return errNoSuchKey
	}
	return err
}
