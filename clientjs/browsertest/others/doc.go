// Package others runs the JavaScript client in Firefox and in WebKit, as far as these can be told what to do. Its tests fail
// where a browser is missing. On Debian they are in these packages:
//
//	apt-get install firefox-esr webkit2gtk-driver xvfb
//
// Firefox is headless, and listens to WebDriver BiDi itself. WebKit is the MiniBrowser of WebKitGTK in a virtual display,
// behind WebKitWebDriver. $FIREFOX and $MINIBROWSER may say where they are.
package others
