package server

import (
	"fmt"
	"net/http"

	"github.com/looming-project/looming/server/internal/session"
	"github.com/looming-project/looming/vfs/wire"
)

func (s *Server) adminVolumes(w http.ResponseWriter, r *http.Request, _ string) error {
	list, err := s.content.Volumes(r.Context())
	if err != nil {
		return err
	}
	return respond(w, Page[session.VolumeState]{Items: append([]session.VolumeState{}, list...), Total: int64(len(list)), Limit: len(list)})
}

func (s *Server) adminAddVolume(w http.ResponseWriter, r *http.Request, admin string) error {
	var body struct{ URL string }
	if err := decode(w, r, &body); err != nil {
		return err
	}
	if body.URL == "" {
		return fmt.Errorf("%w: say where the volume is", wire.ErrInvalid)
	}
	if err := s.content.AddVolume(r.Context(), body.URL); err != nil {
		return err
	}
	s.did(r, admin, "add volume", body.URL)
	return done(w)
}

func (s *Server) adminDrainVolume(w http.ResponseWriter, r *http.Request, admin string) error {
	url, err := s.content.DrainVolume(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	s.did(r, admin, "drain volume", url)
	return done(w)
}

func (s *Server) adminRemoveVolume(w http.ResponseWriter, r *http.Request, admin string) error {
	url, err := s.content.RemoveVolume(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	s.did(r, admin, "remove volume", url)
	return done(w)
}
