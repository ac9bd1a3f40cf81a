package main

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// newGin mounts the server in gin. Its ResponseWriter hands the connection over; the gin.Context is gin's again when
// the handler has returned, which is right after the handshake: the session keeps nothing of it.
func newGin(a *app) http.Handler {
	r := gin.New()
	r.Use(gin.Logger(), gin.Recovery(), func(c *gin.Context) {
		if _, err := c.Cookie("visitor"); err != nil {
			c.SetCookie("visitor", "v1", 0, "/", "", false, true)
		}
	})
	r.GET("/rooms/:room/ws", func(c *gin.Context) {
		a.sessions.ServeHTTP(c.Writer, inRoom(c.Request, c.Param("room")))
	})
	r.POST("/rooms/:room/news", func(c *gin.Context) { a.news(c.Writer, c.Request, c.Param("room")) })
	return r
}
