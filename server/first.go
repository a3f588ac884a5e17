package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/looming-project/looming/server/internal/auth"
	"github.com/looming-project/looming/server/internal/postgres"
	"github.com/looming-project/looming/vfs/durable"
	"github.com/looming-project/looming/vfs/wire"
)

// firstAdmin is the admin that the first start makes.
const firstAdmin = "admin"

// access is DATA/admin.json: what loomctl needs on the server's own machine.
type access struct {
	Server string `json:"server"`
	Token  string `json:"token"`
	CA     string `json:"ca"` // PEM
}

// firstStart makes the first admin with a random password in DATA/admin-password, and sees to DATA/admin.json.
func (s *Server) firstStart(ctx context.Context, data, url string) error {
	if err := s.makeAdmin(ctx, filepath.Join(data, "admin-password")); err != nil {
		return fmt.Errorf("make the first admin: %w", err)
	}
	if err := s.writeAccess(ctx, filepath.Join(data, "admin.json"), url); err != nil {
		return fmt.Errorf("write admin.json: %w", err)
	}
	return nil
}

// makeAdmin writes the password down before it counts: a crash between leaves a password that nobody has, and the next
// start makes another.
func (s *Server) makeAdmin(ctx context.Context, file string) error {
	admins, err := s.db.Admins(ctx)
	if err != nil || len(admins) > 0 {
		return err
	}
	password := auth.NewSecret()
	if err := durable.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		return err
	}
	first, err := s.admins.First(ctx, firstAdmin, password)
	if err != nil {
		return err
	}
	if !first {
		return durable.Remove(file) // another server on this database was faster
	}
	s.log.Warn("made the first admin: log in to the console and change the password", "user", firstAdmin, "password-file", file)
	s.audit(ctx, postgres.Audit{Who: "server", What: "add user", Subject: firstAdmin})
	return nil
}

// writeAccess keeps the token that is there as long as it is good, and brings the rest up to date.
func (s *Server) writeAccess(ctx context.Context, file, url string) error {
	was, err := readAccess(file)
	if err != nil {
		return err
	}
	now := access{Server: url, Token: was.Token, CA: string(s.ca.PEM())}
	if _, err := s.admins.Check(ctx, was.Token); errors.Is(err, wire.ErrDenied) {
		now.Token, err = s.admins.NewToken(ctx, firstAdmin)
		if errors.Is(err, wire.ErrConflict) { // there is no such admin any more
			s.log.Warn("admin.json is not written: there is no user " + firstAdmin)
			return nil
		}
		if err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if now == was {
		return nil
	}
	b, err := json.MarshalIndent(now, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(file, append(b, '\n'), 0o600)
}

// readAccess is the zero value where there is no file, or a damaged one.
func readAccess(file string) (a access, err error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return a, err
	}
	if json.Unmarshal(b, &a) != nil {
		a = access{}
	}
	return a, nil
}
