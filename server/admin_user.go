package server

import (
	"net/http"

	"github.com/looming-project/looming/server/internal/postgres"
)

func (s *Server) adminUsers(w http.ResponseWriter, r *http.Request, _ string) error {
	list, err := s.db.Admins(r.Context())
	if err != nil {
		return err
	}
	return respond(w, Page[postgres.Admin]{Items: list, Total: int64(len(list)), Limit: len(list)})
}

func (s *Server) adminAddUser(w http.ResponseWriter, r *http.Request, admin string) error {
	var body struct{ Name, Password string }
	if err := decode(w, r, &body); err != nil {
		return err
	}
	if err := checkName("user", body.Name); err != nil {
		return err
	}
	if err := s.admins.Add(r.Context(), body.Name, body.Password); err != nil {
		return err
	}
	s.did(r, admin, "add user", body.Name)
	return done(w)
}

func (s *Server) adminPassword(w http.ResponseWriter, r *http.Request, admin string) error {
	var body struct {
		Password  string
		EndTokens bool `json:"end_tokens"`
	}
	if err := decode(w, r, &body); err != nil {
		return err
	}
	name := r.PathValue("name")
	if err := s.admins.SetPassword(r.Context(), name, body.Password); err != nil {
		return err
	}
	s.did(r, admin, "set password", name)
	if body.EndTokens {
		return s.endTokens(w, r, admin, name)
	}
	return done(w)
}

// adminEndTokens is for a token that got into wrong hands. admin.json's goes too, and comes back at the next start.
func (s *Server) adminEndTokens(w http.ResponseWriter, r *http.Request, admin string) error {
	return s.endTokens(w, r, admin, r.PathValue("name"))
}

func (s *Server) endTokens(w http.ResponseWriter, r *http.Request, admin, name string) error {
	if _, err := s.db.RemoveTokens(r.Context(), name); err != nil {
		return err
	}
	s.did(r, admin, "end tokens of user", name)
	return done(w)
}

func (s *Server) adminRemoveUser(w http.ResponseWriter, r *http.Request, admin string) error {
	name := r.PathValue("name")
	if err := s.db.RemoveAdmin(r.Context(), name); err != nil {
		return err
	}
	s.did(r, admin, "remove user", name)
	return done(w)
}
