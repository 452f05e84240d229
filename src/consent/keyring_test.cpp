#include "consent/keyring.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

namespace lares::consent {
namespace {

namespace fs = std::filesystem;

const Effort kLittle{1, KiB(8)};  // of tests, which guess nothing
SecretBytes words(std::string_view text) { return SecretBytes(text); }

// A desktop's keyring in a folder, so that it outlives a process; and one that goes wrong.
class FolderVault final : public Vault {
 public:
  explicit FolderVault(fs::path where) : folder(std::move(where)) {
    fs::create_directories(folder);
  }
  Result<> ready() override {
    if (!open) return Error{Code::Denied, "locked"};
    return Unit{};
  }
  Result<> store(const std::string& id, const SecretBytes& secret) override {
    if (!open || refuses) return Error{Code::Denied, "locked"};
    return write_file(folder / id, spoils ? std::string(64, '0') : secret.reveal());
  }
  Result<SecretBytes> find(const std::string& id) override {
    if (!open) return Error{Code::Denied, "locked"};
    TRY_AS(const std::string text, read_file(folder / id));
    return SecretBytes(text);
  }
  Result<> remove(const std::string& id) override {
    if (!open || keeps) return Error{Code::Denied, "locked"};
    fs::remove(folder / id);
    return Unit{};
  }
  std::vector<std::string> held() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder))
      names.push_back(entry.path().filename());
    return names;
  }
  const fs::path folder;
  bool open = true;
  bool refuses = false;  // to store
  bool spoils = false;   // stores something else
  bool keeps = false;    // does not remove
};

struct KeyringTest : testing::Test {
  KeyringTest() {
    char made[] = "/tmp/lares-keyring-XXXXXX";
    folder = mkdtemp(made);
    vault = std::make_unique<FolderVault>(folder.string() + "-vault");
    restart();
  }
  ~KeyringTest() override {
    fs::remove_all(folder);
    fs::remove_all(vault->folder);
  }
  Keyring::Options options() {
    Keyring::Options made;
    made.first = first;
    made.effort = kLittle;
    made.now = [this] { return now; };
    return made;
  }
  // A daemon that begins anew.
  void restart() { keyring = std::make_unique<Keyring>(folder, *vault, options()); }
  std::string key() {
    auto held = keyring->key();
    EXPECT_TRUE(held) << held.error().message;
    return held ? std::string((*held)->reveal()) : "";
  }
  KeyKind kind() { return key_place(folder)->kind; }
  std::string file() { return *read_file(key_file(folder)); }
  // Each kind's key once, from a start as File.
  void move_to(KeyKind to) {
    (void)key();
    if (to == KeyKind::File) return;
    const auto moved = keyring->move(to, {}, words("a passphrase"));
    ASSERT_TRUE(moved) << moved.error().message;
  }

  fs::path folder;
  std::unique_ptr<FolderVault> vault;
  Keyring::First first = Keyring::First::File;
  SteadyTime now{};
  std::unique_ptr<Keyring> keyring;
};

TEST_F(KeyringTest, TheFirstKeyIsMadeOnceForThePersonAlone) {
  const std::string made = key();
  EXPECT_EQ(made.size(), kSealingKeyBytes);
  restart();
  EXPECT_EQ(key(), made);
  struct stat info{};
  ASSERT_EQ(::stat(key_file(folder).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  fs::remove(key_file(folder));
  restart();
  EXPECT_NE(key(), made);
}

TEST_F(KeyringTest, AFileOfTheFirstVersionIsTheKindFileAndStaysAsItIs) {
  const std::string digits = random_hex(kSealingKeyBytes);
  ASSERT_TRUE(write_file(key_file(folder), digits + "\n"));
  first = Keyring::First::ServiceWhereOpen;
  restart();
  EXPECT_EQ(std::string(to_hexadecimal(words(key())).reveal()), digits);
  EXPECT_EQ(file(), digits + "\n");
  EXPECT_EQ(kind(), KeyKind::File);
  EXPECT_TRUE(vault->held().empty());
}

TEST_F(KeyringTest, TheFirstKeyGoesToTheDesktopsKeyringWhereThatIsOpen) {
  first = Keyring::First::ServiceWhereOpen;
  restart();
  const std::string made = key();
  EXPECT_EQ(kind(), KeyKind::SecretService);
  EXPECT_EQ(vault->held().size(), 1u);
  EXPECT_EQ(file().find(std::string(to_hexadecimal(words(made)).reveal())), std::string::npos);
  restart();
  EXPECT_EQ(key(), made);
}

TEST_F(KeyringTest, WhereTheDesktopsKeyringIsLockedOrGoesWrongTheFirstKeyGoesToTheFile) {
  first = Keyring::First::ServiceWhereOpen;
  for (bool FolderVault::* fault : {&FolderVault::refuses, &FolderVault::spoils}) {
    (*vault).*fault = true;
    restart();
    EXPECT_EQ(key().size(), kSealingKeyBytes);
    EXPECT_EQ(kind(), KeyKind::File);
    EXPECT_TRUE(vault->held().empty());
    (*vault).*fault = false;
    fs::remove(key_file(folder));
  }
  vault->open = false;
  restart();
  EXPECT_EQ(key().size(), kSealingKeyBytes);
  EXPECT_EQ(kind(), KeyKind::File);
}

TEST_F(KeyringTest, ManyThatStartAtOnceGetTheSameKey) {
  for (const auto choice : {Keyring::First::File, Keyring::First::ServiceWhereOpen}) {
    first = choice;
    for (int round = 0; round < 10; round++) {
      fs::remove(key_file(folder));
      for (const std::string& id : vault->held()) fs::remove(vault->folder / id);
      std::vector<std::string> got(8);
      {
        std::vector<std::jthread> starters;
        for (std::string& mine : got) {
          starters.emplace_back([&] {
            Keyring one(folder, *vault, options());
            if (auto held = one.key()) mine = (*held)->reveal();
          });
        }
      }
      const std::set<std::string> different(got.begin(), got.end());
      EXPECT_EQ(different.size(), 1u);
      EXPECT_EQ(different.begin()->size(), kSealingKeyBytes);
      EXPECT_EQ(vault->held().size(), choice == Keyring::First::File ? 0u : 1u)
          << "what the others stored is gone";
    }
  }
}

TEST_F(KeyringTest, MovesFromEachKindToEachAndIsTheSameKey) {
  const std::string made = key();
  for (const KeyKind to : {KeyKind::Passphrase, KeyKind::SecretService, KeyKind::Passphrase,
                           KeyKind::File, KeyKind::SecretService, KeyKind::File}) {
    const auto moved = keyring->move(to, words("the passphrase"), words("the passphrase"));
    ASSERT_TRUE(moved) << moved.error().message;
    EXPECT_EQ(*moved, "");
    EXPECT_EQ(kind(), to);
    restart();
    if (to == KeyKind::Passphrase) {
      EXPECT_EQ(keyring->key().error().code, Code::Denied);
      ASSERT_TRUE(keyring->unlock(words("the passphrase")));
    }
    EXPECT_EQ(key(), made);
    EXPECT_EQ(vault->held().size(), to == KeyKind::SecretService ? 1u : 0u);
    EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator{}), 1);
    struct stat info{};
    ASSERT_EQ(::stat(key_file(folder).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u);
  }
}

TEST_F(KeyringTest, MovingToWhereItLiesIsRefused) {
  move_to(KeyKind::File);
  EXPECT_EQ(keyring->move(KeyKind::File, {}, {}).error().code, Code::Invalid);
  move_to(KeyKind::SecretService);
  EXPECT_EQ(keyring->move(KeyKind::SecretService, {}, {}).error().code, Code::Invalid);
}

TEST_F(KeyringTest, LockedItSaysWhichCommandOpensIt) {
  move_to(KeyKind::Passphrase);
  ASSERT_TRUE(keyring->key()) << "who has just given it need not give it again";
  ASSERT_TRUE(keyring->lock());
  EXPECT_TRUE(keyring->is_locked());
  const Error error = keyring->key().error();
  EXPECT_EQ(error.code, Code::Denied);
  EXPECT_EQ(error.message, "the key is locked; run: lares key unlock");
  ASSERT_TRUE(keyring->unlock(words("a passphrase")));
  EXPECT_FALSE(keyring->is_locked());
}

TEST_F(KeyringTest, InTheDesktopsKeyringItIsForgottenUntilItIsAskedForAgain) {
  move_to(KeyKind::SecretService);
  const std::string made = key();
  ASSERT_TRUE(keyring->lock());
  EXPECT_EQ(keyring->key().error().code, Code::Denied);
  ASSERT_TRUE(keyring->unlock({}));
  EXPECT_EQ(key(), made);
}

TEST_F(KeyringTest, LockingAKeyInAFileIsRefusedAsWorthNothing) {
  (void)key();
  EXPECT_EQ(keyring->lock().error().code, Code::Invalid);
  EXPECT_TRUE(keyring->key());
}

TEST_F(KeyringTest, WrongPassphrasesAreSaidAndEachWaitsTwiceAsLong) {
  move_to(KeyKind::Passphrase);
  const std::string made = key();
  restart();
  int64_t wait_s = 1;
  for (int i = 0; i < 9; i++) {
    const auto wrong = keyring->unlock(words("another passphrase"));
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().code, Code::Denied);
    now += std::chrono::seconds(wait_s) - milliseconds(1);
    const auto soon = keyring->unlock(words("a passphrase"));
    ASSERT_FALSE(soon) << "the right one must wait too, or it would be told apart";
    EXPECT_EQ(soon.error().code, Code::Busy);
    EXPECT_NE(soon.error().message.find("in 1 s"), std::string::npos) << soon.error().message;
    now += milliseconds(1);
    wait_s = std::min<int64_t>(2 * wait_s, kGuessWaitMax.count());
  }
  EXPECT_TRUE(keyring->is_locked());
  ASSERT_TRUE(keyring->unlock(words("a passphrase")));
  EXPECT_EQ(key(), made);
}

TEST_F(KeyringTest, MovingChangingAndExportingWantThePassphraseAlsoWhileItIsOpen) {
  move_to(KeyKind::Passphrase);
  EXPECT_EQ(keyring->move(KeyKind::File, words("wrong"), {}).error().code, Code::Denied);
  now += kGuessWaitMax;
  EXPECT_EQ(keyring->move(KeyKind::Passphrase, words("wrong"), words("x")).error().code,
            Code::Denied);
  now += kGuessWaitMax;
  EXPECT_EQ(keyring->export_copy(words("wrong")).error().code, Code::Denied);
  EXPECT_EQ(kind(), KeyKind::Passphrase);
  EXPECT_TRUE(keyring->key()) << "a wrong one does not lock what is open";
}

TEST_F(KeyringTest, APassphraseIsChangedAndTheKeyIsTheSame) {
  move_to(KeyKind::Passphrase);
  const std::string made = key();
  ASSERT_TRUE(keyring->move(KeyKind::Passphrase, words("a passphrase"), words("ein Spruch äöü")));
  restart();
  EXPECT_EQ(keyring->unlock(words("a passphrase")).error().code, Code::Denied);
  now += kGuessWaitMax;
  ASSERT_TRUE(keyring->unlock(words("ein Spruch äöü")));
  EXPECT_EQ(key(), made);
}

TEST_F(KeyringTest, PassphrasesThatNobodyCouldTypeAgainAreRefusedWithTheRule) {
  (void)key();
  const std::string before = file();
  for (const std::string& bad :
       {std::string(), std::string(MiB(1).n, 'x'), std::string(kPassphraseMax + 1, 'x'),
        std::string("a\0b", 3), std::string("\xFF\xFE"), std::string("two\nlines"),
        std::string("\x7F")}) {
    const auto refused = keyring->move(KeyKind::Passphrase, {}, words(bad));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::Invalid);
    EXPECT_NE(refused.error().message.find("1 to 1,024 bytes"), std::string::npos);
    EXPECT_EQ(file(), before);
  }
  ASSERT_TRUE(keyring->move(KeyKind::Passphrase, {}, words(std::string(kPassphraseMax, 'x'))));
  EXPECT_EQ(keyring->unlock({}).error().code, Code::Invalid);
  EXPECT_TRUE(keyring->unlock(words(std::string(kPassphraseMax, 'x')))) << "no guess was counted";
}

TEST_F(KeyringTest, DamagedFilesOfTheKindFileAreRefusedAndLeftAsTheyAre) {
  for (const std::string& content :
       {std::string(), std::string("too short\n"), std::string("zz"), std::string(63, 'a'),
        std::string(65, 'a'), std::string(64, 'A'), std::string(kKeyFileMax.n + 1, 'a'),
        std::string("\0\0\0", 3), std::string("{}"), std::string("[]"), std::string("1"),
        std::string("{\"lares_key\":0}"), std::string("{\"lares_key\":1,\"kind\":\"file\"}"),
        std::string("{\"lares_key\":1,\"kind\":\"other\"}"),
        std::string("{\"lares_key\":1,\"kind\":\"secret-service\"}")}) {
    ASSERT_TRUE(write_file(key_file(folder), content));
    restart();
    EXPECT_EQ(keyring->key().error().code, Code::Corrupt) << content.substr(0, 80);
    EXPECT_EQ(keyring->unlock(words("x")).error().code, Code::Corrupt);
    EXPECT_EQ(keyring->lock().error().code, Code::Corrupt);
    EXPECT_EQ(keyring->move(KeyKind::File, {}, {}).error().code, Code::Corrupt);
    EXPECT_EQ(file(), content);
  }
  ASSERT_TRUE(write_file(key_file(folder), "{\"lares_key\":2,\"kind\":\"chip\"}"));
  restart();
  EXPECT_EQ(keyring->key().error().code, Code::Unsupported);
}

TEST_F(KeyringTest, AFileThatOthersCanReadIsALinkOrNoFileIsRefused) {
  (void)key();
  ASSERT_EQ(::chmod(key_file(folder).c_str(), 0644), 0);
  restart();
  EXPECT_EQ(keyring->key().error().code, Code::Denied);
  fs::remove(key_file(folder));
  fs::create_symlink("/dev/zero", key_file(folder));
  EXPECT_EQ(keyring->key().error().code, Code::Denied);
  fs::remove(key_file(folder));
  fs::create_directory(key_file(folder));
  EXPECT_EQ(keyring->key().error().code, Code::Denied);
}

TEST_F(KeyringTest, AFileThatWantsAllMemoryIsRefusedBeforeItGetsIt) {
  move_to(KeyKind::Passphrase);
  const Json good = *parse_json(file());
  for (const auto& [member, value] :
       {std::pair("memory_bytes", uint64_t{1} << 50), std::pair("memory_bytes", uint64_t{0}),
        std::pair("operations", uint64_t{1} << 40), std::pair("operations", uint64_t{0})}) {
    Json bad = good;
    bad["argon2id"][member] = value;
    ASSERT_TRUE(write_file(key_file(folder), dump(bad)));
    restart();
    EXPECT_EQ(keyring->unlock(words("a passphrase")).error().code, Code::Corrupt) << member;
  }
}

TEST_F(KeyringTest, AKeyThatIsNoMoreInTheDesktopsKeyringOrAnotherIsSaid) {
  move_to(KeyKind::SecretService);
  const fs::path item = vault->folder / vault->held().front();
  ASSERT_TRUE(write_file(item, random_hex(kSealingKeyBytes)));
  restart();
  EXPECT_EQ(keyring->key().error().code, Code::Corrupt);
  ASSERT_TRUE(write_file(item, "no key"));
  EXPECT_EQ(keyring->key().error().code, Code::Corrupt);
  fs::remove(item);
  EXPECT_EQ(keyring->key().error().code, Code::NotFound);
  vault->open = false;
  EXPECT_EQ(keyring->key().error().code, Code::Denied);
  EXPECT_EQ(kind(), KeyKind::SecretService) << "no new one is made in its place";
}

TEST_F(KeyringTest, AMoveThatCannotEndLeavesTheOldPlaceAsItIs) {
  const std::string made = key();
  const std::string before = file();
  vault->refuses = true;
  EXPECT_FALSE(keyring->move(KeyKind::SecretService, {}, {}));
  vault->refuses = false;
  vault->spoils = true;
  EXPECT_FALSE(keyring->move(KeyKind::SecretService, {}, {}));
  vault->spoils = false;
  EXPECT_EQ(file(), before);
  restart();
  EXPECT_EQ(key(), made);
  EXPECT_TRUE(vault->held().empty());
  ASSERT_TRUE(keyring->move(KeyKind::SecretService, {}, {}));
  // what stays behind is said, and goes with the next move
  vault->keeps = true;
  const auto moved = keyring->move(KeyKind::File, {}, {});
  ASSERT_TRUE(moved);
  EXPECT_NE(moved->find("still in the desktop's keyring"), std::string::npos);
  EXPECT_EQ(key(), made);
  vault->keeps = false;
  EXPECT_EQ(*keyring->move(KeyKind::Passphrase, {}, words("a passphrase")), "");
  EXPECT_TRUE(vault->held().empty());
}

// A process that is killed behind each step of each move: the key is there, once at least, and a
// second try ends what the first began.
TEST_F(KeyringTest, KilledBehindAnyStepOfAMoveTheKeyIsThereAndTheNextMoveTidiesUp) {
  const SecretBytes passphrase = words("a passphrase");
  size_t killed = 0;
  for (const KeyKind from : {KeyKind::File, KeyKind::Passphrase, KeyKind::SecretService}) {
    for (const KeyKind to : {KeyKind::File, KeyKind::Passphrase, KeyKind::SecretService}) {
      if (from == to && to != KeyKind::Passphrase) continue;
      for (int last = 1;; last++) {
        fs::remove_all(folder);
        fs::create_directory(folder);
        for (const std::string& id : vault->held()) fs::remove(vault->folder / id);
        restart();
        move_to(from);
        const std::string made = key();
        const pid_t child = ::fork();
        if (child == 0) {
          int steps = 0;
          Keyring::Options dying = options();
          dying.on_step = [&](std::string_view) {
            if (++steps == last) ::_exit(9);
          };
          Keyring one(folder, *vault, dying);
          ::_exit(one.move(to, passphrase, passphrase) ? 0 : 1);
        }
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFEXITED(status));
        if (WEXITSTATUS(status) == 0) break;
        ASSERT_EQ(WEXITSTATUS(status), 9);
        killed++;
        restart();
        if (kind() == KeyKind::Passphrase) {
          ASSERT_TRUE(keyring->unlock(passphrase));
        }
        EXPECT_EQ(key(), made) << name(from) << " to " << name(to) << ", step " << last;
        EXPECT_FALSE(fs::exists(folder / "key.moving"));
        const KeyKind next = kind() == KeyKind::File ? KeyKind::Passphrase : KeyKind::File;
        ASSERT_TRUE(keyring->move(next, passphrase, passphrase));
        EXPECT_EQ(key(), made);
        EXPECT_TRUE(vault->held().empty()) << name(from) << " to " << name(to) << ", " << last;
        EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator{}), 1);
      }
    }
  }
  EXPECT_GE(killed, 7u * 3) << "each of the seven moves has at least three steps";
}

TEST_F(KeyringTest, WhatAFileHeldIsOverwrittenUnlessItHasASecondName) {
  (void)key();
  const std::string before = file();
  const fs::path second = folder / "mine";
  fs::create_hard_link(key_file(folder), second);
  ASSERT_TRUE(keyring->move(KeyKind::SecretService, {}, {}));
  EXPECT_EQ(*read_file(second), before);
  fs::remove(second);
  ASSERT_TRUE(keyring->move(KeyKind::File, {}, {}));
  const Fd held(::open(key_file(folder).c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(keyring->move(KeyKind::SecretService, {}, {}));
  EXPECT_EQ(*read_whole(held, KiB(4), "reading"), std::string(65, '0'));
}

TEST_F(KeyringTest, ACopyThatAPersonKeptBringsAKeyBack) {
  const std::string made = key();
  const SecretBytes copy = *keyring->export_copy({});
  EXPECT_TRUE(copy.reveal().starts_with("lares-key-"));
  EXPECT_EQ(*keyring->import_copy(copy.reveal()), "") << "it is there already";
  for (const KeyKind to : {KeyKind::SecretService, KeyKind::Passphrase}) {
    ASSERT_TRUE(keyring->move(to, {}, words("forgotten")));
    EXPECT_TRUE(keyring->export_copy(words("forgotten"))->same_as(copy));
    for (const std::string& id : vault->held()) fs::remove(vault->folder / id);
    const std::string before = file();
    restart();
    EXPECT_FALSE(keyring->key());
    // as a person may type it
    std::string typed = "  " + std::string(copy.reveal()) + "\n";
    for (char& c : typed) c = static_cast<char>(c == '-' ? ' ' : std::toupper(c));
    const auto aside = keyring->import_copy(typed);
    ASSERT_TRUE(aside) << aside.error().message;
    EXPECT_EQ(*read_file(*aside), before);
    EXPECT_EQ(key(), made);
    EXPECT_EQ(kind(), KeyKind::File);
    restart();
    EXPECT_EQ(key(), made);
  }
  for (const std::string& damaged : {std::string("no key"), std::string(kKeyFileMax.n + 9, 'x')}) {
    ASSERT_TRUE(write_file(key_file(folder), damaged));
    restart();
    EXPECT_EQ(*read_file(*keyring->import_copy(copy.reveal())), damaged);
    EXPECT_EQ(key(), made);
  }
  fs::remove(key_file(folder));
  restart();
  EXPECT_EQ(*keyring->import_copy(copy.reveal()), "");
  EXPECT_EQ(key(), made);
}

TEST_F(KeyringTest, ACopyOfAnotherKeyOrWithASlipIsRefusedAndChangesNothing) {
  (void)key();
  const std::string copy(keyring->export_copy({})->reveal());
  const std::string other(recovery_text(SecretBytes::random(kSealingKeyBytes)).reveal());
  for (const KeyKind to : {KeyKind::File, KeyKind::SecretService, KeyKind::Passphrase}) {
    if (to != KeyKind::File) {
      ASSERT_TRUE(keyring->move(to, {}, words("a passphrase")));
    }
    const std::string before = file();
    EXPECT_EQ(keyring->import_copy(other).error().code, Code::Invalid);
    EXPECT_EQ(file(), before);
  }
  for (size_t i = 0; i < copy.size(); i++) {
    if (copy[i] == '-') continue;
    std::string slip = copy;
    slip[i] = slip[i] == 'e' ? 'f' : 'e';
    EXPECT_EQ(keyring->import_copy(slip).error().code, Code::Invalid) << slip;
    EXPECT_EQ(keyring->import_copy(copy.substr(0, i)).error().code, Code::Invalid);
  }
  EXPECT_EQ(keyring->import_copy(copy + "0").error().code, Code::Invalid);
  EXPECT_EQ(keyring->import_copy(std::string(1 << 20, 'a')).error().code, Code::Invalid);
}

TEST_F(KeyringTest, SaysWhereTheKeyLiesAndFromWhomThatProtects) {
  EXPECT_EQ(key_place(folder).error().code, Code::NotFound);
  (void)key();
  KeyPlace place = *key_place(folder);
  EXPECT_NE(place.where.find(key_file(folder).string()), std::string::npos);
  EXPECT_NE(place.protects.find("any program of yours"), std::string::npos);
  EXPECT_NE(place.next.find("lares key move --to secret-service"), std::string::npos);
  move_to(KeyKind::SecretService);
  place = *key_place(folder);
  EXPECT_NE(place.protects.find("lares key export"), std::string::npos);
  EXPECT_EQ(place.next, "");
}

// What a content of the file brings: the key, or nothing.
SecretBytes opened(std::string_view content, const SecretBytes& key, const std::string& id) {
  const auto file = parse_key_file(content);
  if (!file) return {};
  if (file->kind == KeyKind::File) return file->key.copied();
  if (file->kind == KeyKind::SecretService)  // another id finds nothing, another check refuses it
    return file->id == id && file->check == check_of(key) ? key.copied() : SecretBytes();
  auto found = open_with_passphrase(*file, words("a passphrase"));
  return found ? *std::move(found) : SecretBytes();
}

TEST(KeyFile, EveryDamagedByteOfTheTwoInJsonIsNoticed) {
  const SecretBytes key = SecretBytes::random(kSealingKeyBytes);
  const std::string id(32, 'a');
  for (const std::string& good :
       {service_text(key, id), *passphrase_text(key, words("a passphrase"), kLittle)}) {
    ASSERT_TRUE(opened(good, key, id).same_as(key));
    for (size_t i = 0; i + 1 < good.size(); i++) {
      EXPECT_TRUE(opened(good.substr(0, i), key, id).empty()) << i;
      for (int bit = 0; bit < 8; bit++) {
        std::string bad = good;
        bad[i] = static_cast<char>(bad[i] ^ (1 << bit));
        EXPECT_TRUE(opened(bad, key, id).empty()) << bad;
      }
    }
    EXPECT_TRUE(opened(good + "x", key, id).empty());
    EXPECT_TRUE(opened(good + good, key, id).empty());
  }
}

TEST(KeyFile, NoTwoSealedOnesAreAlikeAndNoneHoldsTheKey) {
  const SecretBytes key = SecretBytes::random(kSealingKeyBytes);
  const std::string one = *passphrase_text(key, words("a passphrase"), kLittle);
  const std::string two = *passphrase_text(key, words("a passphrase"), kLittle);
  const Json first = *parse_json(one);
  const Json second = *parse_json(two);
  EXPECT_NE(first["argon2id"]["salt"], second["argon2id"]["salt"]);
  EXPECT_NE(first["nonce"], second["nonce"]);
  EXPECT_NE(first["sealed"], second["sealed"]);
  EXPECT_EQ(one.find(std::string(to_hexadecimal(key).reveal())), std::string::npos);
}

TEST(KeyFile, TheEffortOfAGuessIsWhatIsSaid) {
  const Effort effort;
  EXPECT_EQ(effort.operations, 3u);
  EXPECT_EQ(effort.memory, MiB(256));
  const Json made = *parse_json(
      *passphrase_text(SecretBytes::random(kSealingKeyBytes), words("a passphrase"), effort));
  EXPECT_EQ(made["argon2id"]["memory_bytes"], MiB(256).n);
}

TEST(SecretBytes, AreTheirOwnMemoryAndAreWipedWhenTheyGo) {
  SecretBytes one("secret");
  SecretBytes two = one.copied();
  EXPECT_TRUE(one.same_as(two));
  EXPECT_NE(one.reveal().data(), two.reveal().data());
  two.data()[0] = 'S';
  EXPECT_FALSE(one.same_as(two));
  SecretBytes three = std::move(one);
  EXPECT_EQ(three.reveal(), "secret");
  EXPECT_TRUE(one.empty());  // NOLINT(bugprone-use-after-move): that is what is asked
  three = std::move(two);
  EXPECT_EQ(three.reveal(), "Secret");
  three.forget();
  EXPECT_TRUE(three.empty());
  std::string plain = "secret";
  wipe(plain);
  EXPECT_EQ(plain, std::string(6, '\0'));
  EXPECT_FALSE(SecretBytes::random(32).same_as(SecretBytes::random(32)));
}

TEST(SecretBytes, HexadecimalGoesThereAndBack) {
  const SecretBytes bytes(std::string_view("\x00\x7F\xFF", 3));
  EXPECT_EQ(to_hexadecimal(bytes).reveal(), "007fff");
  EXPECT_TRUE(from_hexadecimal("007fff").same_as(bytes));
  for (const char* bad : {"", "0", "007ff", "007FFF", "007f g", "zz"})
    EXPECT_TRUE(from_hexadecimal(bad).empty()) << bad;
}

}  // namespace
}  // namespace lares::consent
