package server

import (
	"net/http"

	"github.com/looming-project/looming/console"
	"github.com/looming-project/looming/server/internal/postgres"
)

// adminStreams answers with the whole live model, as the console shows it.
func (s *Server) adminStreams(w http.ResponseWriter, r *http.Request, _ string) error {
	m, err := face{s}.Fleet(r.Context())
	if err != nil {
		return err
	}
	return respond(w, m)
}

// statsDoc is what there is and what it costs.
type statsDoc struct {
	console.Totals
	PackBytes int64  `json:"pack_bytes"` // on volumes, what is not needed any more included
	Packs     int64  `json:"packs"`
	Version   string `json:"version"`
}

func (s *Server) adminStats(w http.ResponseWriter, r *http.Request, _ string) error {
	f := face{s}
	reports, err := f.reports(r.Context())
	if err != nil {
		return err
	}
	totals, err := f.totals(r.Context(), reports)
	if err != nil {
		return err
	}
	doc := statsDoc{Totals: totals, Version: s.version}
	volumes, err := s.content.Volumes(r.Context())
	if err != nil {
		return err
	}
	for _, v := range volumes {
		doc.PackBytes += v.Bytes
		doc.Packs += v.Packs
	}
	return respond(w, doc)
}

const auditMax = 10_000

func (s *Server) adminAudit(w http.ResponseWriter, r *http.Request, _ string) error {
	limit, err := bounded(r.URL.Query(), "limit", 100, 1, auditMax)
	if err != nil {
		return err
	}
	list, err := s.db.Audits(r.Context(), limit)
	if err != nil {
		return err
	}
	return respond(w, Page[postgres.Audit]{Items: list, Total: int64(len(list)), Limit: limit})
}
