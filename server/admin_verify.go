package server

import (
	"fmt"
	"net/http"

	"github.com/looming-project/looming/vfs/wire"
)

// adminVerify reads all packs again and answers when it has: that takes as long as it takes. One at a time.
func (s *Server) adminVerify(w http.ResponseWriter, r *http.Request, admin string) error {
	if !s.verifying.TryLock() {
		return fmt.Errorf("%w: this server is verifying already", wire.ErrConflict)
	}
	defer s.verifying.Unlock()
	s.did(r, admin, "verify", "")
	report, err := s.content.Verify(r.Context(), nil)
	if err != nil {
		return err
	}
	if report.DamagedCount > 0 {
		s.log.Error("stored chunks are damaged: a snapshot from a device that has them heals them",
			"chunks", report.DamagedCount, "files", report.FileCount)
	}
	return respond(w, report)
}
