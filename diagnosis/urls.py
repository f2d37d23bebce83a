"""The pages of the application."""

from django.urls import path

from diagnosis.views import evaluation, films, home, models, operating, patients, promotion, reviews, shadow

urlpatterns = [
    path("", home.home, name="home"),
    path("patients/", patients.patient_list, name="patients"),
    path("patients/new/", patients.register, name="patient_new"),
    path("patients/<int:pk>/", patients.history, name="patient"),
    path("patients/<int:pk>/edit/", patients.edit, name="patient_edit"),
    path("patients/<int:pk>/upload/", films.upload, name="upload"),
    path("films/<int:pk>/", films.film, name="film"),
    path("films/<int:pk>/status/", films.status, name="film_status"),
    path("films/<int:pk>/again/", films.read_again, name="film_again"),
    path("films/<int:pk>/image.png", films.image, name="film_image"),
    path("films/<int:pk>/preview.jpg", films.preview, name="film_preview"),
    path("predictions/<int:pk>/heatmap.png", films.heatmap, name="heatmap"),
    path("predictions/<int:pk>/review/", reviews.review, name="review"),
    path("review/", reviews.queue, name="review_queue"),
    path("models/", models.version_list, name="models"),
    path("models/production/", models.production, name="model_production"),
    path("models/<int:pk>/", models.version, name="model"),
    path("models/<int:pk>/gate/", promotion.gate, name="model_gate"),
    path("models/<int:pk>/promote/", promotion.promote, name="model_promote"),
    path("models/<int:pk>/evaluate/", evaluation.start, name="model_evaluate"),
    path("models/<int:pk>/shadow/", shadow.detail, name="model_shadow"),
    path("models/<int:pk>/shadow/start/", shadow.start, name="shadow_start"),
    path("models/rollback/", promotion.roll_back, name="model_roll_back"),
    path("models/rules/", promotion.rules, name="promotion_rules"),
    path("models/operating-point/", operating.page, name="operating_point"),
    path("models/operating-point/choose/", operating.choose, name="operating_choose"),
    path("promotions/<int:pk>/decide/", promotion.decide, name="promotion_decide"),
    path("evaluations/<int:pk>/", evaluation.detail, name="evaluation"),
    path("evaluations/films/<int:pk>/image.png", evaluation.base_picture, name="base_picture"),
    path("shadows/<int:pk>/end/", shadow.end, name="shadow_end"),
    path("review/disagreements/", shadow.disagreements, name="disagreements"),
]
