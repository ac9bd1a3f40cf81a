module github.com/wspulse/core

go 1.26
