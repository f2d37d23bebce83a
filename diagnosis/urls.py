"""The pages of the application."""

from django.urls import path

from diagnosis.views import clinics, films, home, models, outcomes, patients, readers, reviews, worklist

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
    path("review/next/", reviews.take_next, name="review_next"),
    path("review/leave/", reviews.leave, name="review_leave"),
    path("review/films/<int:pk>/", reviews.film, name="review_film"),
    path("review/readers/", readers.readers, name="readers"),
    path("reviews/<int:pk>/withdraw/", reviews.withdraw, name="review_withdraw"),
    path("worklist/", worklist.worklist, name="worklist"),
    path("worklist/news/", worklist.news, name="worklist_news"),
    path("films/<int:pk>/priority/", worklist.set_priority, name="film_priority"),
    path("films/<int:pk>/assign/", worklist.assign, name="film_assign"),
    path("films/<int:pk>/outcome/", outcomes.outcome, name="film_outcome"),
    path("clinics/<int:pk>/", clinics.rules, name="clinic_rules"),
    path("models/", models.version_list, name="models"),
    path("models/production/", models.production, name="model_production"),
    path("models/<int:pk>/", models.version, name="model"),
    path("models/<int:pk>/promote/", models.promote, name="model_promote"),
]
