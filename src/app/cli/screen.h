// Screen: the three standard streams as this command has them: what is a terminal, how wide it is,
// and whether colour is wanted. Verbs write through it, so that tests see what a person would see.
// What comes from a model, a file name or another program goes through plain() (plain_text.h)
// first; the screen itself writes bytes as they are. One thread, but for write_err(), which a
// waiting notice may call from its own.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"
#include "consent/secret_bytes.h"

namespace lares::app {

enum class Stream { In, Out, Err };

class Screen {
 public:
  virtual ~Screen() = default;
  // Whole, at once, unbuffered. Io when the stream takes no more (a full disk). A reader that went
  // away ends this process, quietly, as it does every command in a pipe.
  virtual Result<> write(Stream stream, std::string_view bytes) = 0;
  // Everything until the end of standard input; Invalid when it is more than `max`.
  virtual Result<std::string> read_all(Bytes max) = 0;
  // True when something waits to be read from standard input, or will: a pipe, a file, a socket.
  virtual bool in_is_piped() const = 0;
  virtual bool is_terminal(Stream stream) const = 0;
  virtual size_t width() const = 0;  // columns of the terminal, 80 where there is none
  virtual bool colour(Stream stream) const = 0;
  // One line from the terminal that is not shown, behind `prompt` on standard error; Cancelled by
  // Ctrl-C, and by Ctrl-D before anything was typed. Only where standard input is a terminal.
  virtual Result<consent::SecretBytes> read_hidden(std::string_view prompt) = 0;

  Result<> out(std::string_view text) { return write(Stream::Out, text); }
  // To standard error; what cannot be said there is lost.
  void say(std::string_view text) { (void)static_cast<bool>(write(Stream::Err, text)); }
};

class SystemScreen final : public Screen {
 public:
  Result<> write(Stream stream, std::string_view bytes) override;
  Result<std::string> read_all(Bytes max) override;
  Result<consent::SecretBytes> read_hidden(std::string_view prompt) override;
  bool in_is_piped() const override;
  bool is_terminal(Stream stream) const override;
  size_t width() const override;
  bool colour(Stream stream) const override;
};

enum class Shade { Bold, Dim, Red, Green, Yellow };
// `text` in that shade where `stream` shows colours, else as it is.
std::string shaded(const Screen& screen, Stream stream, Shade shade, std::string_view text);

}  // namespace lares::app
