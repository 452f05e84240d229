#include "inventory/templates.h"

#include <algorithm>

namespace lares::inventory {
namespace {

struct Known {
  std::string_view sha256;
  std::string_view name;
};

// Hashes of templates that were read: in models/templates/ of the pinned engine's source (each as
// it stands there, and without its last newline, as files carry it), in the list of templates that
// GPT4All knows (gpt4all-chat/src/jinja_replacements.cpp, commit cd70db2), and in the embedded
// model.
constexpr Known kKnown[] = {
    {"872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788",
     "ChatML, as in SmolLM2-135M-Instruct"},
    {"cd8e9439f0570856fd70470bf8889ebd8b5d1107207f67a5efb46e342330527f",
     "ChatML with tools, as in Qwen2.5-7B-Instruct"},
    {"55b2f4a26ac9ee719330a61a0c39d9e538b0e9322212f048326318cff4f8674a",
     "ChatML with tools, as in Qwen2.5-7B-Instruct"},
    {"87a2728cb8dc9fe424d624542f6060ec05a1d285ebbec578bb078900e33396b5",
     "ChatML with tools and thoughts, as in Qwen3-0.6B"},
    {"d287fb2edf144207f868ae1b282755dc19db2a3f1c5b3a3d57e9e5abffa98392",
     "ChatML with tools, as in Qwen3-Coder"},
    {"eae48a3307931acb10a6fce475a36b711709672ea79ee1a9bc52f083d8b0a2af",
     "ChatML with tools, as in Qwen3-Coder"},
    {"a4aee8afcf2e0711942cf848899be66016f8d14a889ff9ede07bca099c28f715",
     "ChatML with tools and thoughts, as in Qwen3.5-4B"},
    {"5ed15374ce53e19a7798710736a2c9fe41c79f7385e8421a2080d6575a80ef1b",
     "ChatML with tools and thoughts, as in QwQ-32B"},
    {"94c6035b4f0eb905c95e2b7d8dace8547abca03f7fe3e441ba8a6388b1941272",
     "ChatML with tools and thoughts, as in QwQ-32B"},
    {"19eacf64569032f07644ea92c8e2a87af06ee7008147557302c31e474912ca97",
     "ChatML with tools and thoughts, as in SmolLM3-3B"},
    {"cbc1d50f777ec029b33f53b23d7a224cceb65bcc8c7fac54946dbb56514e4d1e",
     "ChatML with tools and thoughts, as in SmolLM3-3B"},
    {"58c1a1f04baa7adaeaba1f90267c3d57d9396f0c1f0129bdde9e76d3c6784af7",
     "ChatML, as in Hermes-3-Llama-3.2-3B"},
    {"153280e3ff55d19da1398bdb3914ee2a51b80429bfaedde11d7d216c39db80f3",
     "ChatML, as in Nous-Hermes-2-Mistral-7B-DPO"},
    {"7ce09d55d3690e06c70b5c07228cc7e8c99c43a23cdc027762be4011efcdea6c",
     "ChatML with tools, as in Hermes-2-Pro-Llama-3-8B"},
    {"ce62e308475b364e1fc76699dccbddeb9ac08344f90d59719dba86a9922834d9",
     "ChatML with tools, as in Hermes-2-Pro-Llama-3-8B"},
    {"57dfe37a492d795062be8f0cb879a975eae1efb7e72fb052ab9e6857029caea7",
     "Llama 3's, as in Meta-Llama-3-8B-Instruct"},
    {"b48c47f6443892716176eb200bf4ef108f64e06ca26ed0fa8ebc0a4b3992fcb2",
     "Llama 3's, as in Meta-Llama-3.1-8B-Instruct-128k"},
    {"e10ca381b1ccc5cf9db52e371f3b6651576caee0a630b452e2816b2d404d4b65",
     "Llama 3's with tools, as in Llama-3.1-8B-Instruct"},
    {"93c0e9aa3629bbd77e68dbc0f5621f6e6b23aa8d74b932595cdb8d64684526d7",
     "Llama 3's with tools, as in Llama-3.1-8B-Instruct"},
    {"5816fce10444e03c2e9ee1ef8a4a1ea61ae7e69e438613f3b17b69d0426223a4",
     "Llama 3's with tools, as in Llama-3.2-3B-Instruct"},
    {"d82792f95932f1c9cef5c4bd992f171225e3bf8c7b609b4557c9e1ec96be819f",
     "Llama 3's with tools, as in Llama-3.2-3B-Instruct"},
    {"b6835114b7303ddd78919a82e4d9f7d8c26ed0d7dfc36beeb12d524f6144eab1",
     "DeepSeek's with thoughts, as in DeepSeek-R1-Distill-Qwen-7B"},
    {"dd2675619a64a449cdcdd2b93e605a0a50764cee41e344f244752bc93643936c",
     "DeepSeek's with thoughts, as in DeepSeek-R1-Distill-Llama-8B"},
    {"bbe594884b44d740667ee65a70bc8d333a565eab3d63ea59f291ea73ada84ba6",
     "DeepSeek's with thoughts, as in DeepSeek-R1-Distill-Qwen-32B"},
    {"ecd6ae513fe103f0eb62e8ab5bfa8d0fe45c1074fa398b089c93a7e70c15cfd6",
     "Gemma's, as in gemma-2-2b-it"},
    {"b0e53f5e7bae6fdb93013abeceef343e8841cce87def2601e7269a53439b5740",
     "Phi's, as in Phi-3-mini-4k-instruct"},
    {"dcaee66df77bfbb789ec541fe713218da30225a526f1db97138fc39ee6dc56aa",
     "Phi's, as in Phi-3.1-mini-128k-instruct"},
    {"78d976a442bcde2f0be15aafbb8e3050e1104f86732266f68403251b89982a90",
     "Phi's, as in Phi-3.5-mini-instruct"},
    {"e4676cb56dffea7782fd3e2b577cfaf1e123537e6ef49b3ec7caa6c095c62272",
     "Mistral's with tools, as in Mistral-Nemo-Instruct-2407"},
    {"e7deee034838db2bfc7487788a3013d8a307ab69f72f3c54a85f06fd76007d4e",
     "Mistral's with tools, as in Mistral-Nemo-Instruct-2407"},
    {"22da301945ac6b617a8835d435cbbdc780c0ac08d69c07e1e17e6c6799eed800",
     "Granite's with tools, as in granite-3.1-8b-instruct"},
};

}  // namespace

std::string_view known_template(std::string_view sha256) {
  const auto* const found =
      std::find_if(std::begin(kKnown), std::end(kKnown),
                   [&](const Known& known) { return known.sha256 == sha256; });
  return found == std::end(kKnown) ? std::string_view() : found->name;
}

}  // namespace lares::inventory
