package server

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/looming-project/looming/server/internal/auth"
	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/wire"
)

// The bounds of an enrolment token.
const (
	tokenTTL     = time.Hour
	tokenMaxTTL  = 90 * 24 * time.Hour
	tokenMaxUses = 10_000
)

func (s *Server) adminTokens(w http.ResponseWriter, r *http.Request, _ string) error {
	list, err := s.db.EnrolTokens(r.Context())
	if err != nil {
		return err
	}
	return respond(w, Page[postgres.EnrolToken]{Items: list, Total: int64(len(list)), Limit: len(list)})
}

// newToken is the one time that a token is shown.
type newToken struct {
	postgres.EnrolToken
	Token string `json:"token"`
	// CAFingerprint is the SHA-256 of the CA's certificate, for whoever enrols to compare.
	CAFingerprint string `json:"ca_fingerprint"`
	// URL is where endpoints find the server, by the first name that it was started with.
	URL string `json:"url,omitempty"`
}

func (s *Server) adminNewToken(w http.ResponseWriter, r *http.Request, admin string) error {
	body := struct {
		Uses int   `json:"uses"`
		TTL  int64 `json:"ttl_seconds"`
	}{1, int64(tokenTTL / time.Second)}
	if r.ContentLength != 0 {
		if err := decode(w, r, &body); err != nil {
			return err
		}
	}
	if body.Uses < 1 || body.Uses > tokenMaxUses || body.TTL < 1 || body.TTL > int64(tokenMaxTTL/time.Second) {
		return fmt.Errorf("%w: a token has 1 to %d uses and lives 1 second to %d days", wire.ErrInvalid, tokenMaxUses, tokenMaxTTL/(24*time.Hour))
	}
	t := newToken{Token: auth.NewSecret(), URL: s.outside}
	var err error
	t.EnrolToken, err = s.db.AddEnrolToken(r.Context(), t.Token, admin, body.Uses, time.Duration(body.TTL)*time.Second)
	if err != nil {
		return err
	}
	sum := s.ca.Fingerprint()
	t.CAFingerprint = hex.EncodeToString(sum[:])
	s.did(r, admin, "create enrolment token", strconv.FormatInt(t.ID, 10))
	return respond(w, t)
}

func (s *Server) adminRemoveToken(w http.ResponseWriter, r *http.Request, admin string) error {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return fmt.Errorf("%w: the id of a token is a number", wire.ErrInvalid)
	}
	if err := s.db.RemoveEnrolToken(r.Context(), id); err != nil {
		return err
	}
	s.did(r, admin, "remove enrolment token", strconv.FormatInt(id, 10))
	return done(w)
}
