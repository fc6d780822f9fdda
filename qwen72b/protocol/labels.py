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


def _words(latin: str, others: str) -> re.Pattern[str]:
    """Match whole words of alphabets with blanks between words, and any part of a text of others."""
    return re.compile(rf"\b(?:{latin})\b|{others}")


_SECRET = _words(
    r"api ?keys?|(?:access|auth|bearer|hf|api) ?tokens?|secret ?keys?|pass ?words?|passwd|"
    r"passphrase|contrase(?:n|ñ)a|mot de passe|passwort|kennwort|пароль|senha|hasło",
    r"密钥|密鑰|秘钥|密码|密碼|口令|令牌|パスワード|비밀번호|암호",
)
# Words of a label alone: prose says "press the enter key" as well.
_SECRET_ALONE = _words(
    r"keys?|token|secrets?|credentials?|clave|schlüssel|ключ|токен|chave|chiave|sk",
    r"キー|トークン|토큰",
)
_SYSTEM = _words(
    r"system ?(?:prompts?|messages?|texts?|instructions?|roles?|content)|pre ?prompt|meta ?prompt|"
    r"(?:prompt|message|mensaje|instrucciones) (?:del? |du |di |do )?(?:sistema|système|systeme)|"
    r"systemprompt|systemnachricht|системн\w* (?:промпт|сообщение|инструкция|запрос)",
    r"系统(?:提示|消息|指令|角色|设定|设置)|系統(?:提示|訊息|指令|角色|設定)|システム|시스템",
)
_SYSTEM_ALONE = _words(r"system|sys ?prompt|sistema|système|систем\w*", r"系统|系統")
_INSTRUCTION = _words(
    r"instructions?|persona|personality|instrucciones|anweisung(?:en)?|инструкци\w*|istruzioni",
    r"角色|人设|人設|指令|ペルソナ|페르소나",
)
_MESSAGE = _words(
    r"messages?|msg|questions?|prompts?|query|queries|pregunta|mensaje|nachricht|frage|"
    r"вопрос|сообщение|pergunta|mensagem|domanda|messaggio|pytanie|wiadomość",
    r"消息|訊息|问题|問題|提问|提問|提示词|質問|メッセージ|プロンプト|질문|메시지|프롬프트",
)
# What begins so asks for a message, whatever that is about.
_VERB = re.compile(
    r"(?:ask|say|tell me|discuss|chat (?:with|about|to|here)|talk (?:with|about|to))\b"
)
_SETTING = _words(
    r"ur[li]s?|links?|https?|websites?|web ?pages?|endpoints?|hosts?|domains?|addres(?:s|ses)|"
    r"e ?mails?|user ?names?|names?|ids?|uuid|models?|paths?|files?|file ?names?|folders?|"
    r"director(?:y|ies)|repos?(?:itory)?|seeds?|languages?|lang|stop|proxy|ports?|temperature|"
    r"top ?[pk]|max(?:imum)?|min(?:imum)?|length|penalty|tokens|limit|numbers?|count|amount|dates?|"
    r"time ?zones?|cit(?:y|ies)|country|phone|titles?|tags?|regex|negative|prefix|suffix|styles?|"
    r"voices?|formats?|schema|version|status|logs?|topic|categor(?:y|ies)|keywords?|"
    r"context|documents?|knowledge|references?|sources?|histor(?:y|ies)|memory|examples?|feedback|"
    r"comments?|notes?|session|nombre|nom|adresse|sprache|modell?o?|modèle|modell|datei|имя|"
    r"адрес|ссылка|модель|язык|город|файл|nome|idioma|lingua|enlace|correo|ciudad|ville|stadt",
    r"网址|網址|链接|連結|鏈接|地址|邮箱|郵箱|用户名|用戶名|姓名|名字|名称|名稱|昵称|模型|路径|路徑|文件|檔案|"
    r"语言|語言|温度|溫度|种子|端口|代理|城市|日期|标题|標題|标签|上下文|历史|歷史|备注|知识|"
    r"リンク|住所|名前|モデル|言語|ファイル|パス|주소|이름|모델|언어|파일|링크",
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
    setting = _SETTING.search(words) if short else None
    if _SECRET.search(words) or (short and _SECRET_ALONE.search(words)):
        return BoxKind.SECRET
    if _ADDRESS.search(text.lower()):
        return BoxKind.SETTING
    if _SYSTEM.search(words):
        return BoxKind.SYSTEM
    if short and setting is None and _SYSTEM_ALONE.search(words):
        return BoxKind.SYSTEM
    if setting is not None and "negative" in words:
        return BoxKind.SETTING
    if _MESSAGE.search(words) or _VERB.match(words):
        return BoxKind.MESSAGE
    if _INSTRUCTION.search(words):
        return BoxKind.INSTRUCTION
    if setting is not None or (short and _SYSTEM_ALONE.search(words)):
        return BoxKind.SETTING
    return BoxKind.PLAIN


_ANSWER = _words(
    r"answers?|responses?|repl(?:y|ies)|outputs?|results?|completions?|generated(?: text)?|"
    r"assistant|chat ?bot|bot|respuesta|antwort|réponse|ответ|resposta|risposta",
    r"回答|回复|回覆|答案|输出|輸出|结果|結果|応答|出力|답변|응답|출력",
)


def says_answer(component: Component) -> bool:
    """Tell whether the words at a component say that it shows an answer."""
    text = fold_label(component.text("label", "elem_id"), blanks=True)
    return bool(_ANSWER.search(text)) and box_kind(component) is not BoxKind.SECRET


_UNDO = _words(
    r"re ?try|try again|re ?generate|regen|redo|undo|clear|reset|re ?start|stop|cancel|abort|"
    r"interrupt|delete|remove|erase|flag|new (?:chat|conversation|session|topic)|(?:un|down|up)vote|"
    r"like|dislike|save|share|copy|export|download|upload|borrar|limpiar|löschen|stopp|effacer|"
    r"очистить|повторить|отмена|стоп|удалить|limpar|parar|cancella",
    r"重试|重試|重新|重置|重做|清空|清除|清理|清屏|撤销|撤銷|撤回|停止|中止|中断|删除|刪除|新对话|新建|"
    r"取消|保存|やり直|再生成|削除|クリア|リセット|삭제|지우기|다시|취소|초기화|"
    r"[🔄🔁♻🗑🧹↩↺⟲⏹🛑❌✖]",
)
_SEND = _words(
    r"send|submit|ask|chat|generate|run|go|reply|answer|query|enter|enviar|senden|envoyer|"
    r"отправить|invia|wyślij|talk|start",
    r"发送|發送|提交|提问|提問|问|送信|전송|보내기|[➤🚀⬆↑✈📤▶➡]",
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
        if _UNDO.search(text):
            return ButtonKind.UNDO
        if _SEND.search(text):
            return ButtonKind.SEND
        if any(map(str.isalpha, text)):
            break
    return ButtonKind.PLAIN
