package client_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	wspulse "github.com/wspulse/server"
	"github.com/wspulse/server/client"
)

// A window shows who is in a room, and says who comes and goes.
func ExampleWithOnPresence() {
	url, stop := cafe()
	defer stop()

	drawn := make(chan string)
	alice, err := client.Dial(context.Background(), url+"?id=1&name=Alice",
		client.WithOnPresence(func(_ client.Client, p client.Presence) {
			if p.Counted { // there are too many to list
				drawn <- fmt.Sprintf("%d people are in the %s", p.Count, p.Room)
				return
			}
			line := ""
			for _, m := range p.Joined {
				line += m.UserID + " comes in; "
			}
			for _, m := range p.Left {
				line += m.UserID + " goes; "
			}
			names := make([]string, len(p.Members))
			for i, m := range p.Members {
				names[i] = m.UserID
			}
			drawn <- line + "in the " + p.Room + ": " + strings.Join(names, ", ")
		}))
	if err != nil {
		log.Fatal(err)
	}
	defer alice.Close()
	fmt.Println(<-drawn)

	bob, err := client.Dial(context.Background(), url+"?id=2&name=Bob")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-drawn)

	_ = bob.Close()
	fmt.Println(<-drawn)
	// Output:
	// in the café: Alice
	// Bob comes in; in the café: Alice, Bob
	// Bob goes; in the café: Alice
}

// Who is there is known as soon as OnPresence has been told.
func ExampleClient_Presence() {
	url, stop := cafe()
	defer stop()

	told := make(chan struct{}, 1)
	alice, err := client.Dial(context.Background(), url+"?id=1&name=Alice",
		client.WithOnPresence(func(client.Client, client.Presence) { told <- struct{}{} }))
	if err != nil {
		log.Fatal(err)
	}
	defer alice.Close()
	<-told
	for _, m := range alice.Presence("café") {
		fmt.Println(m.ID, m.UserID, m.Away)
	}
	// Output: 1 Alice false
}

// cafe is a server whose members are told who is there.
func cafe() (url string, stop func()) {
	server := wspulse.NewServer(func(r *http.Request) (roomID, connectionID string, err error) {
		wspulse.Attach(r, wspulse.Details{UserID: r.URL.Query().Get("name")})
		return "café", r.URL.Query().Get("id"), nil
	},
		wspulse.WithCheckOrigin(func(*http.Request) bool { return true }),
		wspulse.WithPresence(func(wspulse.Connection) any { return nil }))
	web := httptest.NewServer(server)
	return "ws" + strings.TrimPrefix(web.URL, "http") + "/", func() {
		server.Close()
		web.Close()
	}
}
