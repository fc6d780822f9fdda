"""
What the words on a page say of its text boxes and buttons.

A box shows what it is for by its label; where that says nothing, by its
placeholder, its info and its ``elem_id``. Words only ever narrow a choice that
the structure of the page has left open, and forbid: text never goes into a box
whose words say that it is for something else.
"""

from __future__ import annotations

import re
from enum import Enum

from .page import Component, fold_label

__all__ = ["BoxKind", "ButtonKind", "box_kind", "button_kind", "says_answer"]


class BoxKind(Enum):
    """
    What a text box is for, as far as its words tell.

    * ``SECRET``: a password, a key, a token.
    * ``SYSTEM``: the system text.
    * ``INSTRUCTION``: an instruction: the system text beside a question, or
      the question itself.
    * ``MESSAGE``: the question.
    * ``SETTING``: something else, such as a URL or a name.
    * ``PLAIN``: its words do not tell.
    """

    SECRET = "secret"
    SYSTEM = "system"
    INSTRUCTION = "instruction"
    MESSAGE = "message"
    SETTING = "setting"
    PLAIN = "plain"


class ButtonKind(Enum):
    """What a button does: it sends a question, undoes or stops something, or the words do not tell."""

    SEND = "send"
    UNDO = "undo"
    PLAIN = "plain"


class _Words:
    """
    Words that a label may have.

    Sets, since compiling them as patterns was half of the time of a process's first
    question.

    Args:
        whole: Words and phrases of alphabets with blanks between words; with a star,
            the beginning of one.
        parts: Parts of a text in other writings, and signs.
    """

    def __init__(self, whole: str, parts: str) -> None:
        phrases = [" ".join(phrase.split()) for phrase in whole.split(",")]
        self._whole = frozenset(phrases)
        self._begun = [phrase.split() for phrase in phrases if "*" in phrase]
        self._longest = max(phrase.count(" ") for phrase in phrases) + 1
        self._parts = parts.split()

    def are_in(self, text: str) -> bool:
        """Tell whether a folded text has one of them."""
        words = text.split()
        rows = [words, *(_rows(words, size) for size in range(2, self._longest + 1))]
        return (
            any(not self._whole.isdisjoint(row) for row in rows)
            or any(part in text for part in self._parts)
            or any(_begins(phrase, words) for phrase in self._begun)
        )


def _rows(words: list[str], size: int) -> list[str]:
    return [" ".join(words[i : i + size]) for i in range(len(words) - size + 1)]


def _begins(phrase: list[str], words: list[str]) -> bool:
    """Tell whether a phrase is there whose words may go on where a star is."""
    return any(
        all(
            word.startswith(part[:-1]) if part[-1] == "*" else word == part
            for part, word in zip(phrase, words[i:], strict=False)
        )
        for i in range(len(words) - len(phrase) + 1)
    )


_SECRET = _Words(
    """
    api key, api keys, apikey, apikeys, api token, api tokens, apitoken, apitokens, access token,
    access tokens, accesstoken, accesstokens, auth token, auth tokens, authtoken, authtokens,
    bearer token, bearer tokens, bearertoken, bearertokens, hf token, hf tokens, hftoken, hftokens,
    secret key, secret keys, secretkey, secretkeys, password, passwords, pass word, pass words,
    passwd, passphrase, contrasena, contraseña, mot de passe, passwort, kennwort, пароль, senha,
    hasło
    """,
    "密钥 密鑰 秘钥 密码 密碼 口令 令牌 パスワード 비밀번호 암호",
)
# Words of a label alone: prose says "press the enter key" as well.
_SECRET_ALONE = _Words(
    """
    key, keys, token, secret, secrets, credential, credentials, clave, schlüssel, ключ, токен,
    chave, chiave, sk
    """,
    "キー トークン 토큰",
)
_SYSTEM = _Words(
    """
    system prompt, system prompts, systemprompt, systemprompts, system message, system messages,
    systemmessage, systemmessages, system text, system texts, systemtext, systemtexts,
    system instruction, system instructions, systeminstruction, systeminstructions, system role,
    system roles, systemrole, systemroles, system content, systemcontent, pre prompt, preprompt,
    meta prompt, metaprompt, systemnachricht, системн* промпт, системн* сообщение,
    системн* инструкция, системн* запрос,
    """
    + ",".join(
        f"{what} {of} {whole}"
        for what in ("prompt", "message", "mensaje", "instrucciones")
        for of in ("", "de", "del", "du", "di", "do")
        for whole in ("sistema", "système", "systeme")
    ),
    "系统提示 系统消息 系统指令 系统角色 系统设定 系统设置 系統提示 系統訊息 系統指令 系統角色 系統設定 システム 시스템",
)
_SYSTEM_ALONE = _Words("system, sys prompt, sysprompt, sistema, système, систем*", "系统 系統")
_INSTRUCTION = _Words(
    """
    instruction, instructions, persona, personality, instrucciones, anweisung, anweisungen,
    инструкци*, istruzioni
    """,
    "角色 人设 人設 指令 ペルソナ 페르소나",
)
_MESSAGE = _Words(
    """
    message, messages, msg, question, questions, prompt, prompts, query, queries, pregunta, mensaje,
    nachricht, frage, вопрос, сообщение, pergunta, mensagem, domanda, messaggio, pytanie, wiadomość
    """,
    "消息 訊息 问题 問題 提问 提問 提示词 質問 メッセージ プロンプト 질문 메시지 프롬프트",
)
# What begins so asks for a message, whatever that is about.
_VERB = re.compile(
    r"(?:ask|say|tell me|discuss|chat (?:with|about|to|here)|talk (?:with|about|to))\b"
)
_SETTING = _Words(
    """
    url, urls, uri, uris, link, links, http, https, website, websites, web page, web pages, webpage,
    webpages, endpoint, endpoints, host, hosts, domain, domains, address, addresses, email, emails,
    e mail, e mails, user name, user names, username, usernames, name, names, id, ids, uuid, model,
    models, path, paths, file, files, file name, file names, filename, filenames, folder, folders,
    directory, directories, repo, repos, repository, seed, seeds, language, languages, lang, stop,
    proxy, port, ports, temperature, top p, top k, topp, topk, max, maximum, min, minimum, length,
    penalty, tokens, limit, number, numbers, count, amount, date, dates, time zone, time zones,
    timezone, timezones, city, cities, country, phone, title, titles, tag, tags, regex, negative,
    prefix, suffix, style, styles, voice, voices, format, formats, schema, version, status, log,
    logs, topic, category, categories, keyword, keywords, context, document, documents, knowledge,
    reference, references, source, sources, history, histories, memory, example, examples, feedback,
    comment, comments, note, notes, session, nombre, nom, adresse, sprache, modelo, modell, modello,
    modèle, datei, имя, адрес, ссылка, модель, язык, город, файл, nome, idioma, lingua, enlace,
    correo, ciudad, ville, stadt
    """,
    """
    网址 網址 链接 連結 鏈接 地址 邮箱 郵箱 用户名 用戶名 姓名 名字 名称 名稱 昵称 模型 路径 路徑 文件 檔案
    语言 語言 温度 溫度 种子 端口 代理 城市 日期 标题 標題 标签 上下文 历史 歷史 备注 知识
    リンク 住所 名前 モデル 言語 ファイル パス 주소 이름 모델 언어 파일 링크
    """,
)
# In prose, such as a placeholder, only an address says that no question is wanted.
_ADDRESS = re.compile(r"https?://|\w@\w[\w.]*\.\w|\b(?:paste|enter)\b[^.]{0,20}\b(?:url|link)\b")

# A label with more words than these is prose.
_LABEL_WORDS = 4

_PROPS = (("label", True), ("placeholder", False), ("info", False), ("elem_id", True))


def box_kind(box: Component) -> BoxKind:
    """
    Tell what a text box is for.

    Args:
        box: A component that takes text.

    Returns:
        What the first of its texts says that says anything.
    """
    if box.props.get("type") in ("password", "email"):
        return BoxKind.SECRET if box.props["type"] == "password" else BoxKind.SETTING
    for name, short in _PROPS:
        text = box.text(name)
        kind = _text_kind(text, short) if text else BoxKind.PLAIN
        if kind is not BoxKind.PLAIN:
            return kind
    return BoxKind.PLAIN


def _text_kind(text: str, short: bool) -> BoxKind:
    words = fold_label(text, blanks=True)
    short = short and words.count(" ") < _LABEL_WORDS
    setting = short and _SETTING.are_in(words)
    if _SECRET.are_in(words) or (short and _SECRET_ALONE.are_in(words)):
        return BoxKind.SECRET
    if _ADDRESS.search(text.lower()):
        return BoxKind.SETTING
    if _SYSTEM.are_in(words):
        return BoxKind.SYSTEM
    if short and not setting and _SYSTEM_ALONE.are_in(words):
        return BoxKind.SYSTEM
    if setting and "negative" in words:
        return BoxKind.SETTING
    if _MESSAGE.are_in(words) or _VERB.match(words):
        return BoxKind.MESSAGE
    if _INSTRUCTION.are_in(words):
        return BoxKind.INSTRUCTION
    if setting or (short and _SYSTEM_ALONE.are_in(words)):
        return BoxKind.SETTING
    return BoxKind.PLAIN


_ANSWER = _Words(
    """
    answer, answers, response, responses, reply, replies, output, outputs, result, results,
    completion, completions, generated, assistant, chat bot, chatbot, bot, respuesta, antwort,
    réponse, ответ, resposta, risposta
    """,
    "回答 回复 回覆 答案 输出 輸出 结果 結果 応答 出力 답변 응답 출력",
)


def says_answer(component: Component) -> bool:
    """Tell whether the words at a component say that it shows an answer."""
    text = fold_label(component.text("label", "elem_id"), blanks=True)
    return _ANSWER.are_in(text) and box_kind(component) is not BoxKind.SECRET


_UNDO = _Words(
    """
    re try, retry, try again, re generate, regenerate, regen, redo, undo, clear, reset, re start,
    restart, stop, cancel, abort, interrupt, delete, remove, erase, flag, new chat,
    new conversation, new session, new topic, unvote, downvote, upvote, like, dislike, save, share,
    copy, export, download, upload, borrar, limpiar, löschen, stopp, effacer, очистить, повторить,
    отмена, стоп, удалить, limpar, parar, cancella
    """,
    """
    重试 重試 重新 重置 重做 清空 清除 清理 清屏 撤销 撤銷 撤回 停止 中止 中断 删除 刪除 新对话 新建
    取消 保存 やり直 再生成 削除 クリア リセット 삭제 지우기 다시 취소 초기화
    🔄 🔁 ♻ 🗑 🧹 ↩ ↺ ⟲ ⏹ 🛑 ❌ ✖
    """,
)
_SEND = _Words(
    """
    send, submit, ask, chat, generate, run, go, reply, answer, query, enter, enviar, senden,
    envoyer, отправить, invia, wyślij, talk, start
    """,
    "发送 發送 提交 提问 提問 问 送信 전송 보내기 ➤ 🚀 ⬆ ↑ ✈ 📤 ▶ ➡",
)


def button_kind(button: Component, api_name: str | None) -> ButtonKind:
    """
    Tell what a button does.

    Args:
        button: The button.
        api_name: The public name of what it calls, which Gradio makes of the
            function's; it counts where the button shows no words.
    """
    shown = button.text("value", "label")
    words = fold_label(shown, blanks=True)
    for text in (words + " " + shown, fold_label(api_name or button.text("elem_id"), blanks=True)):
        if _UNDO.are_in(text):
            return ButtonKind.UNDO
        if _SEND.are_in(text):
            return ButtonKind.SEND
        if any(map(str.isalpha, text)):
            break
    return ButtonKind.PLAIN
