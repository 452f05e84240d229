// The compiled halves of Asio and Beast (separate compilation), so that http.cpp and client.cpp do
// not compile them again.
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
