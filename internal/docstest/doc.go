// Package docstest tests that README.md and the pages under docs say what is so: their Go compiles, and the tests, options,
// files and make targets that they name are there. It has tests only.
package docstest
