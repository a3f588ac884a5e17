package ca

import (
	"crypto/x509"
	"strings"
	"unicode"
)

// A certificate that nobody of ours signed says what its maker wants, at any length.
const (
	nameMax   = 64
	reasonMax = 512
)

// Name is whom a certificate says it was issued to, fit for logs.
func Name(cert *x509.Certificate) string { return Clean(cert.Subject.CommonName, nameMax) }

// Clean is the beginning of a text, of at most so many bytes of UTF-8 on one line.
func Clean(text string, most int) string {
	if len(text) > most {
		text = text[:most]
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			return r
		}
		return '?'
	}, text)
	return text
}
