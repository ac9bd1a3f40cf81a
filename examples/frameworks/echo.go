package main

import (
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

// newEcho mounts the server in echo. Gzip's wrapper hands the connection over; middleware.Timeout, which
// is http.TimeoutHandler, would not.
func newEcho(a *app) http.Handler {
	e := echo.New()
	e.HideBanner = true
	e.Use(middleware.RequestLogger(), middleware.Recover(), middleware.Gzip(), echo.WrapMiddleware(welcome))
	e.GET("/rooms/:room/ws", func(c echo.Context) error {
		a.sessions.ServeHTTP(c.Response(), inRoom(c.Request(), c.Param("room")))
		return nil
	})
	e.POST("/rooms/:room/news", func(c echo.Context) error {
		a.news(c.Response(), c.Request(), c.Param("room"))
		return nil
	})
	return e
}
