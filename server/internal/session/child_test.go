package session

func runChild() bool { return false }
